#include "sidecar/slots.h"

#include <charconv>
#include <cstdio>
#include <utility>

namespace shoal::sidecar {
namespace {

FixedString<24> key_of(std::uint32_t pool, std::uint32_t number) {
  char text[24];
  std::snprintf(text, sizeof text, "%u/%u", static_cast<unsigned>(pool), static_cast<unsigned>(number));
  return FixedString<24>(text);
}

/// The smaller, the better.
int rank_of(const Slot& slot, const Endpoint& place) {
  if (same_place(slot.row.address, place)) return 0;
  // In maintenance with a weight and an address is how an operator's mark looks; its task may yet be heard of.
  return slot.row.weight == 0 || slot.is_fresh() ? 1 : 2;
}

}  // namespace

bool Slot::is_fresh() const {
  return row.address.port <= 1 || row.address.addr.empty() || row.address.addr.is_unspecified();
}

FixedString<24> Slot::key() const { return key_of(pool, number); }

std::optional<std::uint32_t> slot_number(std::string_view server, std::string_view prefix) {
  if (server.substr(0, prefix.size()) != prefix) return std::nullopt;
  const std::string_view digits = server.substr(prefix.size());
  if (digits.empty() || digits.size() > 9 || (digits.front() == '0' && digits.size() > 1)) return std::nullopt;
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

SlotTable::SlotTable(std::size_t pools_max) : notes_(pools_max + 1) {
  while (!notes_.full()) notes_.emplace_back();
}

void SlotTable::clear() {
  slots_.clear();
  index_.clear();
  for (PoolNote& note : notes_) note = PoolNote{};
}

std::uint32_t SlotTable::find_or_add(std::uint32_t pool, std::uint32_t number) {
  const FixedString<24> key = key_of(pool, number);
  const std::uint32_t known = index_.find(key.view(), [this](std::uint32_t i) { return slots_[i].key(); });
  if (known != kNone || slots_.full()) return known;
  const std::uint32_t index = size();
  Slot& slot = slots_.emplace_back();
  slot.pool = pool;
  slot.number = number;
  index_.insert(key.view(), index);
  return index;
}

void SlotTable::free(std::uint32_t index, Instant now) {
  slots_[index].server = kNone;
  slots_[index].free_since = now;
}

bool SlotTable::count() {
  bool changed = false;
  for (PoolNote& note : notes_) note.had_slots = std::exchange(note.slots, 0) > 0;
  for (const Slot& slot : slots_) notes_[slot.pool].slots += slot.seen ? 1 : 0;
  for (const PoolNote& note : notes_) changed = changed || note.had_slots != (note.slots > 0);
  return changed;
}

std::uint32_t SlotTable::find_free(std::uint32_t pool, const Endpoint& place) const {
  std::uint32_t best = kNone;
  const auto is_better = [&](const Slot& a, const Slot& b) {
    if (rank_of(a, place) != rank_of(b, place)) return rank_of(a, place) < rank_of(b, place);
    return a.free_since != b.free_since ? a.free_since < b.free_since : a.number < b.number;
  };
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].pool != pool || !slots_[i].is_free()) continue;
    if (best == kNone || is_better(slots_[i], slots_[best])) best = i;
  }
  return best;
}

}  // namespace shoal::sidecar
