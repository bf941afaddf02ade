// What tasks and sidecars say to each other, as plain values: the queries `announce`, `solicit`, `depart` and `steer`.
// The wire form is proto/shoal.proto; codec.h turns one into the other. Everything here is bounded and stored in place.
#pragma once

#include <cstdint>

#include "base/containers.h"

namespace shoal::announce {

inline constexpr std::string_view kAnnounceQuery = "announce";
inline constexpr std::string_view kSolicitQuery = "solicit";
inline constexpr std::string_view kDepartQuery = "depart";
inline constexpr std::string_view kSteerQuery = "steer";

using NodeName = FixedString<255>;
using PoolName = FixedString<64>;
using ServerName = FixedString<128>;
using ReasonText = FixedString<383>;

/// Which start of a node, and which word of that start. A higher start_id is newer; within one start the highest seq
/// wins, so that a late or repeated "ready" never brings back what has departed.
struct Generation {
  std::uint64_t start_id = 0;  // Unix milliseconds at the task's start; 0 = a Go peer, the oldest.
  std::uint64_t seq = 0;
  friend auto operator<=>(const Generation&, const Generation&) = default;
};

enum class TaskState : std::uint8_t {
  kReady,      // Serve me.
  kUnready,    // Alive, but do not send requests.
  kDeparting,  // Leaving: as after a depart.
  kUnknown,    // A word we do not know, from a newer peer: tolerated, not served.
};

struct Announcement {
  std::uint16_t port = 0;
  PoolName pool;  // Empty = the sidecar's default pool.
  TaskState state = TaskState::kReady;
  std::uint16_t weight = 100;  // 1-256.
  Generation generation;
  std::uint64_t nonce = 0;  // Only in the answer to a solicit.
};

struct Departure {
  std::uint16_t port = 0;
  PoolName pool;
  std::uint32_t timeout_seconds = 0;
  Generation generation;
  bool returns = false;  // Not final for its start: a later announce of it, with a higher seq, counts again.
};

enum class Reason : std::uint8_t { kNone, kRetry, kFix };

/// What a sidecar knows of one task's server, over all its HAProxy processes. Both answers are made from it.
struct Standing {
  bool in_rotation = false;  // In every connected HAProxy, at least one.
  bool out = false;          // In no connected HAProxy: in maintenance with weight 0, or not there at all.
  bool drained = false;      // `out`, and no request in flight or queued anywhere.
  std::uint32_t in_flight = 0;
  std::uint32_t proxies_up = 0;
  std::uint32_t proxies_total = 0;
  std::uint32_t proxies_in_rotation = 0;  // Of those connected, which have it in rotation.
  Reason reason = Reason::kNone;          // Why it is not where it is wanted.
  ReasonText reason_text;                 // Names what to change.
  ServerName server;
};

struct AnnounceAnswer {
  bool accepted = false;
  bool pending = false;
  Reason reason = Reason::kNone;
  ReasonText reason_text;
  ServerName server;
  std::uint32_t proxies_up = 0;
  std::uint32_t proxies_total = 0;
  std::uint32_t proxies_in_rotation = 0;
};

struct DepartAnswer {
  bool accepted = false;
  bool pending = false;
  bool drained = false;
  std::uint32_t in_flight = 0;
  Reason reason = Reason::kNone;
  ReasonText reason_text;
  ServerName server;
  std::uint32_t proxies_up = 0;
  std::uint32_t proxies_total = 0;
};

/// What an operator wants of a task's server in every HAProxy, until it is undone. The task keeps it as a tag.
enum class Wish : std::uint8_t { kNone, kDrain, kMaint };
inline constexpr std::string_view kWishTag = "wish";
/// The tag's value, empty for kNone.
[[nodiscard]] std::string_view to_text(Wish wish);
/// Of a tag's value. A word that we do not know, from a newer peer, is no wish.
[[nodiscard]] Wish wish_of(std::string_view text);

struct Steering {
  Wish wish = Wish::kNone;
  bool stop = false;  // Stop as on SIGTERM; the wish does not matter then.
};

struct SteeringAnswer {
  bool accepted = false;
  ReasonText reason_text;  // Why not.
};

}  // namespace shoal::announce
