"""adversary.py FOLDER VICTIM SEED: the owner of FOLDER at its worst. Cuts, fills with holes, replaces, links, swaps what is in
it, and the folder itself, at random moments, until it is killed."""

import os
import random
import sys
import time

folder, victim, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = random.Random(seed)
os.chdir("/")
names = ["web.state", "web.recorder", ".lock", "more.state", ".new-0123456789abcdef"]
whole, sizes = {}, {}
for name in names:
    try:
        with open(f"{folder}/{name}", "rb") as f:
            sizes[name] = os.fstat(f.fileno()).st_size
            whole[name] = f.read(32 << 20).rstrip(b"\0")  # the hole that a state file ends with is none of it
    except OSError:
        sizes[name], whole[name] = 0, b""


def path():
    return f"{folder}/{rng.choice(names)}"


def away(p):
    try:
        os.rmdir(p) if os.path.isdir(p) and not os.path.islink(p) else os.unlink(p)
    except OSError:
        pass


def cut():
    os.truncate(path(), rng.choice([0, 1, 8, 4095, 4096, 70000, 2 << 20, 12 << 20, 30 << 20]))


def put_back():
    name = rng.choice(names)
    away(f"{folder}/new")
    with open(f"{folder}/new", "wb") as f:
        f.write(whole[name])
        f.truncate(sizes[name])
    os.chmod(f"{folder}/new", 0o600)
    os.rename(f"{folder}/new", f"{folder}/{name}")


def holes():
    p = path()
    with open(p, "r+b") as f:
        data, size = f.read(4096), os.fstat(f.fileno()).st_size
        f.truncate(0)
        f.truncate(size)
        f.seek(0)
        f.write(data)


def scribble():
    with open(path(), "r+b") as f:
        f.seek(rng.randrange(4096))
        f.write(rng.randbytes(rng.choice([1, 8, 64, 2000])))


def instead(make):
    p = path()
    away(p)
    make(p)


def swap_folder():
    os.rename(folder, folder + "-aside")
    try:
        os.symlink(os.path.dirname(victim), folder)
        time.sleep(rng.random() / 200)
        os.unlink(folder)
    finally:
        os.rename(folder + "-aside", folder)


def grow():
    with open(f"{folder}/more.state", "wb") as f:
        f.write(whole["web.state"][:4096])
        f.truncate(2 << 30)


deeds = [cut, cut, put_back, put_back, put_back, holes, scribble, scribble, swap_folder, grow, lambda: instead(lambda p: os.symlink(victim, p)),
         lambda: instead(lambda p: os.link(victim, p)), lambda: instead(os.mkfifo), lambda: instead(os.mkdir),
         lambda: os.chmod(path(), rng.choice([0, 0o600, 0o666])), lambda: os.chmod(folder, rng.choice([0o700, 0o755, 0o777]))]
print("ready", flush=True)
while True:
    try:
        rng.choice(deeds)()
    except OSError:
        pass
    time.sleep(rng.random() / 500)
