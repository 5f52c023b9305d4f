/* layout_abi_private.h - where each member of the state file lies, checked by every compiler for every ABI that it
 * builds for: i386 aligns 64-bit members to 4 bytes inside structs, so a hole that x86-64 fills by itself must be a
 * member of its own.
 *
 * Included by state.c. A change here is a change of the layout; see STATE_LAYOUT. */
#ifndef CONNSPREAD_STATE_LAYOUT_ABI_PRIVATE_H
#define CONNSPREAD_STATE_LAYOUT_ABI_PRIVATE_H

#include <stddef.h>

#include "state/event.h"
#include "state/layout.h"

#define AT(type, member, offset) _Static_assert(offsetof(struct type, member) == (offset), #type "." #member)
#define SIZE(type, size)         _Static_assert(sizeof(struct type) == (size), #type)

AT(addr, b, 0);
SIZE(addr, 16);

AT(endpoint, port, 16);
AT(endpoint, scope, 20);
SIZE(endpoint, 24);

AT(port_range, high, 2);
SIZE(port_range, 4);

AT(policy_source, count, 16);
AT(policy_source, interface, 20);
SIZE(policy_source, 24);

AT(policy_target, length, 16);
AT(policy_target, any, 17);
AT(policy_target, ports, 18);
AT(policy_target, zero, 22);
SIZE(policy_target, 24);

AT(policy_span, count, 2);
SIZE(policy_span, 4);

AT(policy_pool, sources, 32);
AT(policy_pool, total, 52);
AT(policy_pool, ports, 72);
AT(policy_pool, policy, 76);
AT(policy_pool, freebind, 77);
AT(policy_pool, title_id, 78);
AT(policy_pool, reuse_after_ms, 80);
AT(policy_pool, hash_by, 84);
AT(policy_pool, exclusive, 85);
AT(policy_pool, hash_variable, 88);
SIZE(policy_pool, 120);

AT(policy_rule, to, 32);
AT(policy_rule, except, 36);
AT(policy_rule, programs, 40);
AT(policy_rule, pool, 44);
AT(policy_rule, title_id, 46);
AT(policy_rule, action, 48);
AT(policy_rule, attempts, 51);
AT(policy_rule, wait_ms, 52);
AT(policy_rule, also, 56);
AT(policy_rule, to_policy, 60);
AT(policy_rule, show_asked, 61);
AT(policy_rule, to_timeout_ms, 64);
AT(policy_rule, to_hold_down_ms, 68);
SIZE(policy_rule, 72);

AT(policy_origin, inode, 8);
AT(policy_origin, size, 16);
AT(policy_origin, mtime_ns, 24);
SIZE(policy_origin, 32);

AT(policy, mode, 32);
AT(policy, log_verify, 37);
AT(policy, log_size, 40);
AT(policy, size_max, 48);
AT(policy, n_rules, 56);
AT(policy, n_programs, 66);
AT(policy, log_file, 72);
AT(policy, path, 328);
AT(policy, rule, 584);
AT(policy, pool, 74312);
AT(policy, target, 78152);
AT(policy, source, 127304);
AT(policy, ports, 139592);
AT(policy, program, 140616);
SIZE(policy, 144712);

AT(state_section, size, 8);
SIZE(state_section, 16);

AT(cell, check, 8);
AT(cell, part, 12);
AT(cell, parts, 13);
AT(cell, payload, 16);
SIZE(cell, 128);

AT(pair, hold_until, 8);
AT(pair, probe_next, 16);
AT(pair, unusable_until, 24);
AT(pair, open, 32);
AT(pair, hold_count, 36);
AT(pair, last_used, 40);
AT(pair, time_wait, 48);
AT(pair, range_hint, 112);
AT(pair, search, 113);
AT(pair, port_turn, 114);
AT(pair, port_cursor, 116);
AT(pair, inside_until, 120);
AT(pair, answered_ns, 128);
AT(pair, counted_ns, 136);
AT(pair, down_until, 144);
AT(pair, unanswered, 152);
AT(pair, suspect, 154);
AT(pair, port, 156);
AT(pair, rule_id, 158);
AT(pair, source, 160);
AT(pair, destination, 176);
SIZE(pair, 192);

AT(pair_table, pair, 32768);
SIZE(pair_table, 819200);

AT(pair_block, pair, 41856);
SIZE(pair_block, 1048576);

AT(stat_entry, source, 8);
AT(stat_entry, rule_id, 24);
AT(stat_entry, arm, 26);
AT(stat_entry, lane, 27);
AT(stat_entry, prefix, 28);
AT(stat_entry, counter, 48);
AT(stat_entry, connect_ns, 192);
AT(stat_entry, bucket, 200);
AT(stat_entry, rare, 392);
AT(stat_entry, zero2, 496);
SIZE(stat_entry, 512);

AT(place, born_ns, 8);
AT(place, number, 16);
AT(place, zero, 24);
SIZE(place, 32);

AT(open_entry, peer, 16);
AT(open_entry, local_port, 32);
AT(open_entry, peer_port, 34);
AT(open_entry, rule_id, 36);
AT(open_entry, pool_id, 38);
AT(open_entry, connected_ns, 40);
AT(open_entry, token, 48);
AT(open_entry, word, 52);
AT(open_entry, direction, 53);
AT(open_entry, verdict, 54);
AT(open_entry, counted, 55);
AT(open_entry, marked_ns, 56);
SIZE(open_entry, 64);

AT(open_chunk, seen_ns, 8);
AT(open_chunk, pid_namespace, 16);
AT(open_chunk, netns, 24);
AT(open_chunk, program, 32);
AT(open_chunk, arm, 56);
AT(open_chunk, entry, 64);
SIZE(open_chunk, 4096);

AT(open_table, chunk, 520192);
SIZE(open_table, 2617344);

AT(history_entry, count, 8);
AT(history_entry, peak, 52);
AT(history_entry, netns, 56);
AT(history_entry, source, 64);
AT(history_entry, destination, 80);
AT(history_entry, program, 96);
AT(history_entry, port, 116);
SIZE(history_entry, 120);

AT(history_minute, flow, 256);
AT(history_minute, rest, 3976);
SIZE(history_minute, 4096);

AT(event, seq, 8);
AT(event, netns, 16);
AT(event, age_us, 24);
AT(event, local, 32);
AT(event, peer, 48);
AT(event, pid, 64);
AT(event, tid, 68);
AT(event, decided_before_ms, 72);
AT(event, program, 76);
AT(event, local_port, 96);
AT(event, peer_port, 98);
AT(event, rule_id, 100);
AT(event, pool_id, 102);
AT(event, kind, 104);
AT(event, verified, 111);
SIZE(event, 112);

AT(exhausted_source, ports, 16);
AT(exhausted_source, open, 20);
AT(exhausted_source, time_wait, 24);
AT(exhausted_source, cause, 28);
AT(exhausted_source, error, 30);
AT(exhausted_source, kernel, 32);
AT(exhausted_source, counted, 42);
SIZE(exhausted_source, 44);

AT(event_exhausted, repeats, 8);
AT(event_exhausted, attempts, 12);
AT(event_exhausted, n_sources, 14);
AT(event_exhausted, omitted, 16);
AT(event_exhausted, error, 18);
AT(event_exhausted, call, 20);
AT(event_exhausted, proof, 23);
AT(event_exhausted, recent_s, 24);
AT(event_exhausted, bound, 26);
AT(event_exhausted, recent_connects, 28);
AT(event_exhausted, recent_time_waits, 32);
AT(event_exhausted, reserved, 36);
AT(event_exhausted, capacity, 38);
AT(event_exhausted, bound_counted, 40);
AT(event_exhausted, source, 48);
SIZE(event_exhausted, 448);

AT(event_asked, port, 16);
SIZE(event_asked, 24);

AT(event_record, u, 112);
SIZE(event_record, 560);

AT(state_header, layout, 8);
AT(state_header, uid, 12);
AT(state_header, epoch, 16);
AT(state_header, size, 24);
AT(state_header, created_ns, 32);
AT(state_header, instance, 40);
AT(state_header, host, 104);
AT(state_header, section, 168);

/* Behind the sections, of which there may come more. */
_Static_assert(offsetof(struct state_header, refused) == offsetof(struct state_header, section) + SECTIONS * 16,
               "refused");
_Static_assert(offsetof(struct state_header, boot) == offsetof(struct state_header, refused) + 8, "boot");
_Static_assert(offsetof(struct state_header, control) % 64 == 0, "control");
_Static_assert(offsetof(struct state_header, names) == offsetof(struct state_header, control) + 24, "names");
_Static_assert(offsetof(struct state_header, next_seq) == offsetof(struct state_header, control) + 64, "next_seq");
_Static_assert(offsetof(struct state_header, ring) == offsetof(struct state_header, next_seq) + 8, "ring");
_Static_assert(offsetof(struct state_header, next_process) == offsetof(struct state_header, next_seq) + 64,
               "next_process");
_Static_assert(offsetof(struct state_header, segment) == offsetof(struct state_header, next_process) + 64, "segment");
_Static_assert(offsetof(struct state_header, open_taken) == offsetof(struct state_header, segment) + 256, "open_taken");
_Static_assert(offsetof(struct state_header, no_room) == offsetof(struct state_header, open_taken) + 512, "no_room");
_Static_assert(offsetof(struct state_header, of_pairs) == offsetof(struct state_header, no_room) + 64, "of_pairs");
_Static_assert(offsetof(struct state_header, block) == offsetof(struct state_header, of_pairs) + 256, "block");
_Static_assert(offsetof(struct state_header, block) % 64 == 0, "a cache line that is hardly ever written");
_Static_assert(sizeof(struct state_header) == offsetof(struct state_header, block) + BLOCKS / 8, "state_header");

#undef AT
#undef SIZE

#endif
