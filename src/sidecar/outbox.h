// Everything that one call of the sidecar's core wants from the outside world.
#pragma once

#include <cstdint>

#include "announce/messages.h"
#include "base/containers.h"
#include "base/endpoint.h"
#include "base/time.h"
#include "haproxy/runtime_session.h"

namespace shoal::sidecar {

/// Connect once to `place` and say within `deadline` what came of it: Core::on_verify_result with the same id. Close
/// the connection at once; send nothing.
struct Verify {
  std::uint32_t id = 0;
  Endpoint place;
  Duration deadline = 1s;
};

enum class EventKind : std::uint8_t {
  kStandingChanged,  // Core::standing may answer otherwise than before: `node`.
  // One line a state change, for the log.
  kServerAdded,           // node, server, pool, place
  kServerInRotation,      // node, server, pool, place
  kServerOut,             // node, server, pool, place: seen in maintenance by our doing
  kServerDrained,         // node, server, pool
  kServerDeleted,         // node, server, pool
  kServerRefused,         // node, server, pool; text: HAProxy's words
  kServerUnreachable,     // node, place; text
  kServerHeldByOperator,  // node, server, pool: admin bits with a weight above 0
  kServerHeld,            // node, server, pool, place; text: why it stays in rotation although it is called gone
  kServerHoldEnded,       // node, server, pool, place; text: why
  kHaproxyUp,             // text: version
  kHaproxyReplaced,       // text: version
  kHaproxyDown,           // text: why
  kHaproxyFault,          // text: what is wrong with this version, and what to do
  kSocketLevel,           // The socket is below level admin. text: its level
  kOldProcess,            // A process that is replaced or stopping goes on. text: version
  kOldProcessEnded,       // It has no request any more. text: why
  kOldProcessGivenUp,     // It may have requests, and is not asked any more. text: why
  kMembersFull,           // node: refused
  kSlotFreed,             // node, server, pool, place: as kServerDeleted, where a slot stood for the server
  kPoolBySlots,           // server, pool; text: HAProxy's words, for which its slots are filled
};

struct Event {
  EventKind kind = EventKind::kStandingChanged;
  std::uint8_t proxy = 0;
  announce::NodeName node;  // Empty for a server of ours that no task claims.
  haproxy::ServerName server;
  haproxy::BackendName pool;
  Endpoint place;
  announce::ReasonText text;
};

/// With haproxy.dry_run: a command that HAProxy is not sent.
struct WouldSend {
  using Text = FixedString<1400>;  // A longest add; longer ones are cut.
  std::uint8_t proxy = 0;
  Text text;
};

/// The caller owns it, passes it in empty, and drains it before the next call.
class Outbox {
 public:
  static constexpr std::size_t kVerifiesMax = 64;  // Open at once before servers are added...
  static constexpr std::size_t kLooksMax = 64;     // ...and before servers leave.
  static constexpr std::size_t kEventsMax = 512;

  static constexpr std::size_t kWouldSendMax = 256;

  Outbox(std::size_t proxies, const haproxy::SessionOptions& options, bool dry_run = false);

  [[nodiscard]] std::size_t proxies() const { return sessions_.size(); }
  /// Effects for the streams of one HAProxy. Its `events` are the core's own and always empty for the shell.
  [[nodiscard]] haproxy::SessionOutbox& session(std::size_t proxy) { return sessions_[proxy]; }

  FixedVector<Verify> verifies{kVerifiesMax + kLooksMax};  // Never full: no more are open at once.
  FixedVector<Event> events{kEventsMax};  // StandingChanged waits for room; log lines over it are counted, dropped.

  FixedVector<WouldSend> would_send;  // Empty unless it was made for a dry run. What does not fit comes later.

  [[nodiscard]] bool empty() const;
  void clear();

 private:
  FixedVector<haproxy::SessionOutbox> sessions_;
};

}  // namespace shoal::sidecar
