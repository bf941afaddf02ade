// Serf's view of the members: status, the Lamport time of its last change, and intents that came before their member.
// Lives longer than swim's record: a failed or left member is remembered until it is reaped.
#pragma once

#include <cstdint>

#include "base/named_table.h"
#include "serf/coordinates.h"
#include "serf/lamport.h"
#include "swim/members.h"

namespace shoal::serf {

using shoal::kNoSlot;
using shoal::Slot;
using swim::NodeName;

/// The wire's values (agent RPC and conflict answers): frozen.
enum class Status : std::uint8_t { kNone = 0, kAlive = 1, kLeaving = 2, kLeft = 3, kFailed = 4 };
[[nodiscard]] std::string_view to_text(Status status);

struct Member {
  Text name;
  swim::Profile profile;  // As swim has it, or had it last.
  LamportTime status_ltime = 0;
  Instant gone_since{};       // When it left, failed, or said that it leaves.
  Instant prune_at = kNever;  // A leave intent with Prune, while it is still leaving.
  std::uint32_t coordinate = kNoCoordinate;
  Status status = Status::kNone;

  [[nodiscard]] Endpoint endpoint() const { return profile.endpoint(); }
  [[nodiscard]] swim::Versions versions() const { return profile.versions(); }
  [[nodiscard]] Bytes meta() const { return profile.meta(); }

  static constexpr std::uint32_t kNoCoordinate = ~std::uint32_t{0};  // It has told none. Else: see Members::coordinate.
};

/// An intent about a node that is no member yet.
struct BufferedIntent {
  NodeName node;
  bool leave = false;
  LamportTime ltime = 0;
  Instant since{};
};

class Members {
 public:
  static constexpr std::size_t kIntentsMax = 512;
  static constexpr Duration kIntentLife = 5min;

  Members(std::size_t members_max, std::uint64_t hash_seed)
      : table_(members_max, hash_seed), coordinates_(members_max), intents_(kIntentsMax) {}

  [[nodiscard]] Slot find(std::string_view name) const { return table_.find(name); }
  [[nodiscard]] const Member* get(std::string_view name) const {
    const Slot slot = find(name);
    return slot == kNoSlot ? nullptr : &table_[slot];
  }
  /// A full table gives up the member that left or failed longest ago, whose name is then in `evicted`; kNoSlot when
  /// there is none.
  Slot insert(const Text& name, Text& evicted);
  void erase(Slot slot);
  Member& operator[](Slot slot) { return table_[slot]; }
  const Member& operator[](Slot slot) const { return table_[slot]; }
  [[nodiscard]] std::span<const Slot> slots() const { return table_.slots(); }
  [[nodiscard]] std::size_t size() const { return table_.size(); }
  [[nodiscard]] std::size_t count(Status status) const;

  /// What is known of where it is; nullptr until it has told.
  [[nodiscard]] PeerCoordinate* coordinate(Slot slot) { return find_coordinate(*this, table_[slot]); }
  [[nodiscard]] const PeerCoordinate* coordinate(const Member& member) const { return find_coordinate(*this, member); }
  /// REQUIRES: nothing is known of it.
  void keep_coordinate(Slot slot, const PeerCoordinate& coordinate);

  /// Keeps the newest intent about an unknown node. False: not newer than what is kept, or no room after expiry.
  bool buffer_intent(std::string_view node, bool leave, LamportTime ltime, Instant now);
  /// Takes the kept intent of a node out; ltime 0 = there was none.
  BufferedIntent take_intent(std::string_view node);

 private:
  template <typename Self>
  static auto find_coordinate(Self& self, const Member& member) -> decltype(&self.coordinates_[0]) {
    return member.coordinate == Member::kNoCoordinate ? nullptr : &self.coordinates_[member.coordinate];
  }

  NamedTable<Member> table_;
  Pool<PeerCoordinate> coordinates_;  // Of those that have told one: in a large cluster few have, for hours.
  FixedVector<BufferedIntent> intents_;
};

}  // namespace shoal::serf
