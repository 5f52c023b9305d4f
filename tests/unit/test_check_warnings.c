/* What `connspread check` warns of: configs that are valid and yet wrong on this host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/check/model.h"
#include "config/load.h"
#include "text/parse.h"
#include "suite.h"
#include "tool/check/warnings.h"

static struct host host;
static struct policy policy;
static struct warnings warnings;

static void set_up(void) {
    memset(&host, 0, sizeof host);
    memset(&warnings, 0, sizeof warnings);
    ck_assert(host_ports_parse(&host.ports, "32768 60999", ""));
    ck_assert_ptr_null(parse_address("198.51.100.1", &host.address[0]));
    ck_assert_ptr_null(parse_address("fd00:5::1", &host.address[1]));
    host.n_addresses = 2;
}

static void look_at(const char *config) {
    char errors[4096] = "";
    ck_assert_msg(config_parse("test", config, strlen(config), &policy, errors, sizeof errors) == 0, "%s", errors);
    find_warnings(&policy, &host, &warnings);
}

static void expect_one(const char *words) {
    ck_assert_msg(warnings.count == 1 && strstr(warnings.text[0], words), "%u: %s", warnings.count, warnings.text[0]);
}

START_TEST(a_config_that_fits_this_host_is_not_warned_of) {
    look_at("pool \"p\" { addresses = { \"198.51.100.1\", \"fd00:5::1\", \"127.0.0.2-127.0.0.9\" } }\n"
            "rule \"r\" { to = { \"*\" } except = { \"127.0.0.1:6379\" } pool = \"p\" }\n");
    ck_assert_msg(warnings.count == 0, "%s", warnings.text[0]);
}
END_TEST

START_TEST(a_redis_that_would_deny_is_named) {
    look_at("pool \"p\" { addresses = { \"198.51.100.1\", \"127.0.0.1-127.0.0.9\" } }\n"
            "rule \"r\" { to = { \"127.0.0.0/8\" } pool = \"p\" }\n");
    expect_one("rule \"r\": a Redis on 127.0.0.1:6379 in protected mode answers -DENIED");
}
END_TEST

START_TEST(the_built_in_default_is_not_warned_of) {
    policy_default(&policy);
    find_warnings(&policy, &host, &warnings);
    ck_assert_msg(warnings.count == 0, "%s", warnings.text[0]);
}
END_TEST

START_TEST(addresses_that_this_host_lacks_are_named) {
    look_at("pool \"p\" { addresses = { \"198.51.100.1-198.51.100.4\" } }\n"
            "rule \"r\" { to = { \"*\" } pool = \"p\" }\n");
    expect_one("3 of the 4 addresses from 198.51.100.1 on are not on this host, the first of them 198.51.100.2");
}
END_TEST

START_TEST(freebind_needs_a_route_to_here) {
    look_at("pool \"p\" { addresses = { \"203.0.113.0/24\" } freebind = true }\n"
            "rule \"r\" { to = { \"*\" } pool = \"p\" }\n");
    expect_one("203.0.113.0 is not on this host, but bind() accepts it (freebind)");
}
END_TEST

START_TEST(ports_outside_the_ephemeral_range_are_said_to_be_unused) {
    look_at("pool \"p\" { ports = { \"1024-32767\", \"40000-40009\" } }\n"
            "rule \"r\" { to = { \"*\" } pool = \"p\" }\n");
    expect_one("31744 of its 31754 ports lie outside net.ipv4.ip_local_port_range (32768-60999) and are not used");
}
END_TEST

START_TEST(a_pool_without_a_usable_port_is_said_to_be_so) {
    look_at("pool \"p\" { ports = { \"1024\" } }\nrule \"r\" { to = { \"*\" } pool = \"p\" }\n");
    ck_assert_uint_eq(warnings.count, 2);
    ck_assert_ptr_nonnull(strstr(warnings.text[1], "no port is left"));
}
END_TEST

START_TEST(reserved_ports_inside_the_range_are_counted) {
    ck_assert(host_ports_parse(&host.ports, "32768 60999", "8080,40000-40003"));
    look_at("pool \"p\" { addresses = { \"198.51.100.1\" } }\nrule \"r\" { to = { \"*\" } pool = \"p\" }\n");
    expect_one("4 of its 28232 ports are in net.ipv4.ip_local_reserved_ports");
}
END_TEST

START_TEST(hash_over_one_destination_is_questioned) {
    static const char pool[] = "pool \"p\" { addresses = { \"198.51.100.1\" } policy = \"hash\" }\n";
    char config[512];
    snprintf(config, sizeof config, "%srule \"r\" { to = { \"10.0.0.1:80\" } pool = \"p\" }\n", pool);
    look_at(config);
    expect_one("has one destination");
    set_up();
    snprintf(config, sizeof config, "%srule \"r\" { to = { \"10.0.0.1:80-81\" } pool = \"p\" }\n", pool);
    look_at(config);
    ck_assert_uint_eq(warnings.count, 0);
}
END_TEST

START_TEST(a_pool_that_reaches_no_destination_is_useless) {
    look_at("pool \"p\" { addresses = { \"fd00:5::1\" } }\nrule \"r\" { to = { \"10.0.0.0/8\" } pool = \"p\" }\n");
    expect_one("none of its addresses can reach a destination");
}
END_TEST

START_TEST(loopback_sources_do_not_leave_the_host) {
    look_at("pool \"p\" { addresses = { \"127.0.0.2\" } }\nrule \"r\" { to = { \"10.0.0.0/8\" } pool = \"p\" }\n");
    expect_one("none of its addresses can reach a destination");
}
END_TEST

START_TEST(a_pool_without_a_rule_is_named) {
    look_at("pool \"p\" { addresses = { \"198.51.100.1\" } }\n");
    expect_one("no rule uses it");
}
END_TEST

START_TEST(a_rule_behind_a_wider_one_is_named) {
    look_at("pool \"p\" { addresses = { \"198.51.100.1\" } }\n"
            "rule \"wide\" { to = { \"*\" } pool = \"p\" }\n"
            "rule \"late\" { to = { \"10.0.0.0/8:443\" } pool = \"p\" }\n");
    expect_one("rule \"late\": is never reached, since rule \"wide\" before it takes all its connections");
}
END_TEST

int main(void) {
    Suite *s = suite_create("check_warnings");
    TCase *t = tcase_create("warnings");
    tcase_add_checked_fixture(t, set_up, NULL);
    tcase_add_test(t, a_config_that_fits_this_host_is_not_warned_of);
    tcase_add_test(t, a_redis_that_would_deny_is_named);
    tcase_add_test(t, the_built_in_default_is_not_warned_of);
    tcase_add_test(t, addresses_that_this_host_lacks_are_named);
    tcase_add_test(t, freebind_needs_a_route_to_here);
    tcase_add_test(t, ports_outside_the_ephemeral_range_are_said_to_be_unused);
    tcase_add_test(t, a_pool_without_a_usable_port_is_said_to_be_so);
    tcase_add_test(t, reserved_ports_inside_the_range_are_counted);
    tcase_add_test(t, hash_over_one_destination_is_questioned);
    tcase_add_test(t, a_pool_that_reaches_no_destination_is_useless);
    tcase_add_test(t, loopback_sources_do_not_leave_the_host);
    tcase_add_test(t, a_pool_without_a_rule_is_named);
    tcase_add_test(t, a_rule_behind_a_wider_one_is_named);
    suite_add_tcase(s, t);
    return run(s);
}
