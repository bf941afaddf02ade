// The table of ML records: one a node, in whatever state, the own one included. Slots are stable while a record lives.
// A record is small, since in a large cluster they are what costs memory: what many hold alike is in a TextStore.
#pragma once

#include <array>
#include <cstdint>

#include "base/containers.h"
#include "base/endpoint.h"
#include "base/named_table.h"
#include "base/rng.h"
#include "base/text_store.h"
#include "base/time.h"
#include "swim/profile.h"

namespace shoal::swim {

inline constexpr std::size_t kNameBytesMax = 255;  // Ours; memberlist has no limit. Longer: refused, counted.

using NodeName = FixedString<kNameBytesMax>;
using shoal::kNoSlot;
using shoal::Slot;

/// The wire's values: frozen.
enum class State : std::uint8_t { kAlive = 0, kSuspect = 1, kDead = 2, kLeft = 3 };
[[nodiscard]] std::string_view to_text(State state);

/// Whether a node with these numbers can be a member beside us (ML 2, SF 2 to 5).
[[nodiscard]] bool compatible(const Versions& versions);

struct Record {
  Text name;
  Profile profile;
  Instant state_change{};
  std::uint32_t incarnation = 0;
  State state = State::kDead;

  [[nodiscard]] bool gone() const { return state == State::kDead || state == State::kLeft; }
  [[nodiscard]] Endpoint endpoint() const { return profile.endpoint(); }
  [[nodiscard]] Versions versions() const { return profile.versions(); }
  [[nodiscard]] Bytes meta() const { return profile.meta(); }
};

/// Picks up to `count` of the slots for which `fits(slot)`, each once. As memberlist: random draws, at most three a
/// member, so that a large table is not walked.
template <typename Picks, typename Fits>
void draw_slots(std::span<const Slot> slots, std::size_t count, Rng& rng, Picks& picks, Fits&& fits) {
  picks.clear();
  for (std::size_t draws = 3 * slots.size(); draws > 0 && picks.size() < count && !picks.full(); --draws) {
    const Slot slot = slots[rng.below(slots.size())];
    bool picked = !fits(slot);
    for (const Slot pick : picks) picked = picked || pick == slot;
    if (!picked) picks.push_back(slot);
  }
}

class Members {
 public:
  /// `texts` keeps the names, and outlives the table.
  Members(std::size_t members_max, std::uint64_t hash_seed, TextStore& texts)
      : texts_(texts), table_(members_max, hash_seed) {}

  [[nodiscard]] Slot find(std::string_view name) const { return table_.find(name); }
  /// A new record, dead with incarnation 0, at a random place of the probe order. When the table is full the record
  /// that left longest ago goes, then the one that died longest ago, but never `keep` (our own, also once we have
  /// left); kNoSlot when all others are alive.
  Slot insert(std::string_view name, Rng& rng, Slot keep = kNoSlot);
  void erase(Slot slot) { table_.erase(slot); }

  Record& operator[](Slot slot) { return table_[slot]; }
  const Record& operator[](Slot slot) const { return table_[slot]; }

  /// n of all formulas: every record, self included.
  [[nodiscard]] std::size_t size() const { return table_.size(); }
  [[nodiscard]] std::size_t capacity() const { return table_.capacity(); }
  /// All slots in probe order.
  [[nodiscard]] std::span<const Slot> slots() const { return table_.slots(); }
  void shuffle(Rng& rng) { rng.shuffle(table_.order()); }

 private:
  [[nodiscard]] Slot oldest(State state, Slot keep) const;

  TextStore& texts_;
  NamedTable<Record> table_;
};

}  // namespace shoal::swim
