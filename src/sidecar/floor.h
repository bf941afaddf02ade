// Whether a server whose task is said to be gone may leave rotation: what a look at its place said, weighed against how
// much of its pool would stay. Pure.
//
// A sidecar that is starved, has a wrong key or is cut off sees its members fail one by one while their workers serve.
// So before a server leaves because its member failed, because no task claims it, or because it is announced unready,
// the sidecar connects to its place:
//
//   refused                 nobody listens there: it leaves at once, whatever the floor says
//   timed out               it leaves if enough of the pool stays in rotation, else after 5 minutes of time-outs
//   connected               it leaves if enough of the pool stays that answers too, else never
//
// Enough is `haproxy.removal_floor` of the pool, and never less than one server. The pool is what is wanted in
// rotation, and what has left or is held for these reasons without having been refused, so that it does not shrink
// while its members fail one after the other. Who departed or left is not asked about.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "sidecar/registry.h"

namespace shoal::sidecar {

inline constexpr Duration kLookAgainHeld = 5s;
inline constexpr Duration kLookAgainOut = 10s;    // While it is in maintenance: one that answers is not deleted.
inline constexpr Duration kSilentMost = 5min;     // Of time-outs, until a server leaves below the floor.
inline constexpr Duration kLookIsFreshFor = 15s;  // What was seen before says nothing of now.

/// What has to be asked before a server leaves rotation.
enum class Ask : std::uint8_t {
  kNothing,
  kPlace,  // It leaves only if its place refuses.
  kFloor,  // The place, and then the floor.
};

/// What the place of a server that is asked to leave has answered since it is.
struct Look {
  enum class State : std::uint8_t { kIdle, kQueued, kTrying };
  State state = State::kIdle;
  bool answered = false;  // `result` and `at` hold something.
  VerifyResult result = VerifyResult::kConnected;
  Instant at;                     // Of the last result.
  Instant silent_since = kNever;  // The first of the time-outs without another result between them.
  std::uint32_t try_id = 0;       // With kTrying.

  void take(Instant now, VerifyResult said);
  [[nodiscard]] bool is_fresh(Instant now) const { return answered && now - at <= kLookIsFreshFor; }
  [[nodiscard]] bool connected() const { return answered && result == VerifyResult::kConnected; }
  [[nodiscard]] bool refused() const { return answered && result == VerifyResult::kRefused; }
};

/// One pool of one HAProxy, shoal's own servers alone.
struct PoolShare {
  std::uint32_t whole = 0;      // What the floor is a share of.
  std::uint32_t staying = 0;    // In rotation, HAProxy's own check included, and not on its way out.
  std::uint32_t answering = 0;  // Of these, those that nobody calls gone, and those whose place has connected.
  std::uint32_t alive = 0;      // Of these, those that nobody calls gone.
};

/// 1 for an empty pool too: the last one never leaves by this way.
[[nodiscard]] std::uint32_t least_staying(std::uint32_t whole, std::uint32_t floor_percent);

enum class Ruling : std::uint8_t {
  kWait,     // No answer of its place yet.
  kHold,     // Held in rotation by the floor; looked at again every kLookAgainHeld.
  kLeaves,   // Refused, or the floor has room.
  kGivenUp,  // Leaves although the floor has no room: silent for too long.
};

/// `others` is the pool without this server.
[[nodiscard]] Ruling rule(Instant now, Ask ask, const Look& look, const PoolShare& others, std::uint32_t least);

}  // namespace shoal::sidecar
