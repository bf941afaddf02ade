// What the registrar wants done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <variant>

#include "announce/member.h"
#include "announce/messages.h"
#include "announce/payload_arena.h"
#include "base/containers.h"
#include "base/endpoint.h"

namespace shoal::announce {

/// News for the sidecar core: judged, and its claim confirmed. Followed by `on_standing` for that node.
struct ForwardAnnouncement {
  NodeName node;
  IpAddress address;  // The member's: the service is there, on announcement.port.
  Announcement announcement;
};
struct ForwardDeparture {
  NodeName node;
  Departure departure;
};
/// The answer to one query. Each query gets exactly one.
struct Answer {
  std::uint64_t query_ref = 0;
  Bytes payload;  // In the outbox's arena.
};
/// Ask this task to announce again; its answer comes back as `on_solicit_answer` with the same token.
struct Solicit {
  std::uint64_t token = 0;
  NodeName node;
  Endpoint to;
  Bytes payload;  // In the outbox's arena.
  Route route = Route::kDirectUdp;
};
/// A query came from a node that is not known yet: do a push/pull with that address, if gossip.allow has it.
struct PushPull {
  Endpoint with;
};

using RegistrarEffect = std::variant<ForwardAnnouncement, ForwardDeparture, Answer, Solicit, PushPull>;

class RegistrarOutbox {
 public:
  /// A call answers each waiting and each held query at most once, and the one that came; sends each solicit at most
  /// once; forwards once for each held query, each solicit that ends and the query that came.
  RegistrarOutbox(std::size_t queries_max, std::size_t held_max, std::size_t solicits_max)
      : arena_(queries_max + held_max + solicits_max + 1),
        effects_(queries_max + 3 * held_max + 2 * solicits_max + 3) {}

  [[nodiscard]] std::span<const RegistrarEffect> effects() const { return effects_.view(); }
  [[nodiscard]] bool empty() const { return effects_.empty(); }
  void clear() {
    effects_.clear();
    arena_.clear();
  }

  // For the registrar.
  template <typename Message>
  Bytes encode(const Message& message) {
    return arena_.encode(message);
  }
  void add(RegistrarEffect effect) { effects_.push_back(std::move(effect)); }

 private:
  PayloadArena arena_;
  FixedVector<RegistrarEffect> effects_;
};

}  // namespace shoal::announce
