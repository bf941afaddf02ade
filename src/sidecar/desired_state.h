// From facts to what HAProxy should hold: a pure function of one fact and the time.
//
//   fact                                          wanted
//   announced ready, member alive or suspect      in rotation, once its place has answered
//   announced unready, or a state we do not know  in maintenance, kept; not below the floor
//   departed, leaving, left, reaped after that    out at once, deleted
//   departed for a while                          out at once, kept
//   failed, reaped after that                     in maintenance, deleted after `grace`; not below the floor
//   another alive task announced the place later  in maintenance, kept
//   an operator wants it drained, or out          in HAProxy's drain; in maintenance; kept
//
// "Not below the floor": `ask` says what has to be asked before it leaves rotation, and floor.h what the answers mean.
#pragma once

#include "base/time.h"
#include "sidecar/floor.h"
#include "sidecar/registry.h"

namespace shoal::sidecar {

enum class Goal : std::uint8_t {
  kNone,        // Nothing is claimed: no word, or one that cannot be served (see `Objection`).
  kUnverified,  // Wanted in rotation, its place not shown to answer yet: what stands stays, nothing is added.
  kInRotation,
  kOut,     // In maintenance, kept.
  kDrain,   // In HAProxy's drain with weight 0, kept; nothing is added for it.
  kAbsent,  // Out, then deleted.
};

/// Why a word cannot be served whatever HAProxy says.
enum class Objection : std::uint8_t {
  kNone,
  kNotAMember,
  kBadPort,
  kBadPool,         // Not a pool's name.
  kPoolNotAllowed,  // Not in haproxy.backends.
  kBadAddress,      // Unspecified, multicast, link-local.
  kLoopback,
  kNameTaken,
};

struct Policy {
  Duration grace = 30s;
  Duration forget_after = 10min;     // gossip.reap_after, for servers that no task has ever claimed.
  std::uint32_t removal_floor = 50;  // Percent.
  bool verify = true;
  bool allow_loopback = false;
  static constexpr std::size_t kPoolsMax = 64;
  InlineVector<haproxy::BackendName, kPoolsMax> pools;  // haproxy.backends; empty = any that HAProxy has.
};

struct Wanted {
  Goal goal = Goal::kNone;
  Objection objection = Objection::kNone;
  Ask ask = Ask::kNothing;      // With kOut and kAbsent: before it leaves rotation.
  std::uint16_t weight = 0;     // 1-256 for kInRotation and kUnverified.
  Instant changes_at = kNever;  // When the answer changes by time alone.
};

[[nodiscard]] Wanted wanted(const Fact& fact, const Policy& policy, Instant now);
[[nodiscard]] Objection objection(const Fact& fact, const Policy& policy);

}  // namespace shoal::sidecar
