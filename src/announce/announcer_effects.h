// What the announcer wants done, and what it has to tell.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

#include "announce/member.h"
#include "announce/messages.h"
#include "announce/payload_arena.h"
#include "base/containers.h"
#include "base/endpoint.h"
#include "base/time.h"

namespace shoal::announce {

/// Send this query and give the first answer back as `on_response` with the same token.
struct SendQuery {
  std::uint64_t token = 0;
  NodeName sidecar;
  Endpoint to;             // The sidecar's gossip address.
  std::string_view query;  // kAnnounceQuery or kDepartQuery.
  Bytes payload;           // In the outbox's arena.
  Duration timeout{};      // The query's Timeout field.
  Route route = Route::kDirectUdp;
};
/// The answer to a solicit.
struct AnswerSolicit {
  std::uint64_t query_ref = 0;
  Bytes payload;  // In the outbox's arena.
};

/// This sidecar has put what we said last into force. Told once for each statement and life of the sidecar.
struct Accepted {
  NodeName sidecar;
  ServerName server;  // Empty from a Go sidecar.
  std::uint32_t proxies_up = 0;
  std::uint32_t proxies_total = 0;
};
/// Told when the reason is not the one told before.
struct Refused {
  NodeName sidecar;
  Reason reason = Reason::kNone;
  ReasonText text;
  Duration next_try_in{};
};
/// Heard and wanted, and not in rotation yet for this reason; nobody has to mend anything. Told once for each reason.
struct Pending {
  NodeName sidecar;
  ReasonText text;
};
/// Out of rotation in every HAProxy of this sidecar; `in_flight` requests are still served.
struct Departed {
  NodeName sidecar;
  std::uint32_t in_flight = 0;
};
struct Drained {
  NodeName sidecar;
};
/// This sidecar no longer counts for the drain although it never said `drained`.
struct NotDrained {
  enum class Why : std::uint8_t {
    kNeverAnswers,  // A Go sidecar or a stock agent: three tries.
    kFailed,        // Confirmed dead.
    kLeft,          // It said goodbye itself.
  };
  NodeName sidecar;
  Why why = Why::kFailed;
};
/// The drain is over: nothing is left to wait for. Told once.
struct AllDrained {
  bool confirmed = true;  // Every sidecar that is here said so itself.
};
/// Ready, and no sidecar is known to be here: nobody will send requests. Told once each time that it becomes so.
struct NoSidecar {};
/// This sidecar is a member, and yet neither datagrams nor a TCP connection brought an answer. Told once until it
/// answers.
struct NoAnswer {
  NodeName sidecar;
  Endpoint to;
};
/// The table is full of sidecars that are here; this one is not talked to.
struct SidecarTableFull {
  NodeName sidecar;
};

using AnnouncerEffect = std::variant<SendQuery, AnswerSolicit, Accepted, Refused, Pending, Departed, Drained,
                                     NotDrained, AllDrained, NoSidecar, NoAnswer, SidecarTableFull>;

class AnnouncerOutbox {
 public:
  /// A call makes for each sidecar at most one query and two events, and besides at most one answer and two events.
  explicit AnnouncerOutbox(std::size_t sidecars_max) : arena_(sidecars_max + 1), effects_(3 * sidecars_max + 3) {}

  [[nodiscard]] std::span<const AnnouncerEffect> effects() const { return effects_.view(); }
  [[nodiscard]] bool empty() const { return effects_.empty(); }
  void clear() {
    effects_.clear();
    arena_.clear();
  }

  // For the announcer.
  template <typename Message>
  Bytes encode(const Message& message) {
    return arena_.encode(message);
  }
  void add(AnnouncerEffect effect) { effects_.push_back(std::move(effect)); }

 private:
  PayloadArena arena_;
  FixedVector<AnnouncerEffect> effects_;
};

}  // namespace shoal::announce
