#!/usr/bin/env node
// chdb.js FOLDER FILE.sql | -e QUERY ...: runs statements against the database in FOLDER, inside this process: ClickHouse without a server.
// Needs the npm package chdb 3.4.0. What a query answers is printed, as JSON Lines.
"use strict";
const fs = require("fs");
const { Session } = require("chdb");

const [folder, ...rest] = process.argv.slice(2);
if (!folder || rest.length === 0 || rest[rest.length - 1] === "-e") {
    console.error("usage: chdb.js FOLDER FILE.sql | -e QUERY ...");
    process.exit(2);
}
const session = new Session(folder);
let status = 0;
try {
    for (let i = 0; i < rest.length; i++) {
        const text = rest[i] === "-e" ? rest[++i] : fs.readFileSync(rest[i], "utf8");
        for (const statement of text.replace(/^\s*--.*$/gm, "").split(/;\s*$/m))
            if (statement.trim()) process.stdout.write(session.query(statement, "JSONEachRow"));
    }
} catch (error) {
    console.error(String(error.message || error));
    status = 1;
}
process.exitCode = status;
