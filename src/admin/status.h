// What `shoal status` tells of a running shoal. The names of the JSON are these fields' names, and stay: programs read
// them. A field that has nothing to say is left out where it is optional here, and empty or 0 else. Times are
// milliseconds, counted back from the answer.
//
// Bounded: a list has kRowsMax rows at the most, the troubled ones first, and says how many were left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/health.h"

namespace shoal::admin {

inline constexpr std::size_t kRowsMax = 32;

/// One process of the task's worker.
struct WorkerRow {
  std::int64_t pid = 0;
  std::uint32_t generation = 0;  // Counts the starts; 1 is the first.
  std::string state;             // serving; running (not ready, or the task stops); of a renewal also starting, ending.
  std::int64_t up_ms = 0;
};

/// One sidecar, as the task knows it.
struct SidecarRow {
  std::string name;
  std::string address;  // Of its gossip.
  std::string member;   // alive, suspect, left, failed.
  std::string state;    // accepted, pending, refused, drained; silent while it has not answered what was said last.
  std::string reason;   // With pending and refused.
  bool needs_a_fix = false;
  std::string server;  // The task's name in HAProxy.
  std::uint32_t proxies_up = 0;
  std::uint32_t proxies_total = 0;
  std::uint32_t proxies_in_rotation = 0;
  std::uint32_t in_flight = 0;              // Requests, as told while draining.
  std::optional<std::int64_t> answered_ms;  // Since its last answer.
  std::uint32_t unanswered = 0;             // Questions since.
};

struct AcceptQueue {
  std::uint32_t depth = 0;  // Connections that wait to be accepted.
  std::uint32_t limit = 0;
  std::uint32_t highest = 0;  // The longest that it was seen since the task's start, once a second.
};

struct TaskStatus {
  std::string state;  // Of the supervisor: idle, spawning, starting, ready, draining, ...
  std::vector<WorkerRow> workers;
  std::uint32_t restarts = 0;
  std::string listen;      // Where the worker listens.
  std::uint16_t port = 0;  // That HAProxy is told.
  std::string pool;        // Empty: the sidecar's default.
  std::uint32_t weight = 0;
  std::string wish;  // An operator's: drain, maint.
  std::optional<AcceptQueue> accept_queue;
  std::string drain;  // Empty until asked; waiting, unreachable, done.
  std::uint32_t proxies_in_rotation = 0;
  std::vector<SidecarRow> sidecars;
  std::uint32_t sidecars_left_out = 0;
};

/// One HAProxy of a sidecar.
struct ProxyRow {
  std::string socket;
  bool connected = false;
  std::string reason;  // Why not.
  std::string version;
  std::int64_t pid = 0;
  std::string method;  // How servers are set; empty: with `add server`.
  // Shoal's servers in it.
  std::uint32_t in_rotation = 0;
  std::uint32_t out = 0;                    // In maintenance or drain, or down for HAProxy's own check.
  std::uint32_t claimed = 0;                // Of all of these, those that a known task claims.
  std::uint32_t missing = 0;                // Wanted in rotation, and not there, though nobody set it so by hand.
  std::uint32_t by_hand = 0;                // Taken out on HAProxy's socket by an operator: left as they are.
  std::optional<std::int64_t> compared_ms;  // Since its whole table was last compared.
  std::uint64_t commands = 0;
  std::uint64_t refused = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t replacements = 0;  // Another process answered.
  std::uint32_t old_processes = 0;
};

/// A server that the floor keeps in rotation although its task is called gone.
struct HeldRow {
  std::string server;
  std::string pool;
  std::string node;  // Empty: no known task claims it.
  std::string socket;
};

struct SidecarStatus {
  bool dry_run = false;
  bool supervises = false;  // HAProxy is shoal's own.
  std::uint32_t tasks = 0;  // Known, and there.
  std::vector<ProxyRow> proxies;
  std::vector<HeldRow> held;
  std::uint32_t held_left_out = 0;
};

struct Status {
  std::string name;
  std::string role;     // "sidecar" or "task".
  std::string version;  // Of the program.
  std::int64_t pid = 0;
  std::int64_t uptime_ms = 0;
  std::string address;        // That the others are told, "host:port"; empty until it is known.
  std::uint32_t members = 0;  // All that are known, this one too; the next four are parts of it.
  std::uint32_t alive = 0;
  std::uint32_t leaving = 0;
  std::uint32_t left = 0;
  std::uint32_t failed = 0;
  Health health;
  Health ready;
  std::optional<TaskStatus> task;
  std::optional<SidecarStatus> sidecar;
};

[[nodiscard]] std::string to_json(const Status& status);
/// False when the text is no JSON, or a value has another type; then `out` may hold anything.
[[nodiscard]] bool from_json(std::string_view text, Status& out);

}  // namespace shoal::admin
