// The slots of one HAProxy: servers that `server-template` made when it started, and that shoal fills with a task's
// address instead of adding a server. For pools that take no servers at run time.
//
// A slot is a server named by our prefix and a number: `server-template shoal- 1-50 127.0.0.1:1 disabled`. It is free
// while it is in maintenance, clean, and no row of the server table has it. What a slot is for is told by its address
// alone: so a sidecar that was restarted finds its servers again.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/containers.h"
#include "base/endpoint.h"
#include "base/time.h"
#include "haproxy/runtime_codec.h"

namespace shoal::sidecar {

struct Slot {
  static constexpr std::uint32_t kNone = NameIndex::kNone;

  std::uint32_t pool = 0;  // Its number in the server table.
  std::uint32_t number = 0;
  std::uint32_t server = kNone;  // The row that has it; kNone = none.
  bool seen = false;             // By the last look: HAProxy has it.
  haproxy::ServerRow row;        // As HAProxy last showed it, without its names; kAdminConfigured is left out.
  Instant free_since{};          // While no row has it.
  bool is_clean = false;         // Since it went into maintenance it has been seen without a request in flight.

  [[nodiscard]] bool in_maintenance() const { return (row.admin & haproxy::kAdminMaintBits) != 0; }
  [[nodiscard]] bool is_free() const { return seen && server == kNone && in_maintenance() && is_clean; }
  /// As the configuration made it: no place that a task could have.
  [[nodiscard]] bool is_fresh() const;
  [[nodiscard]] FixedString<24> key() const;
};

/// What is known of a pool beside its servers.
struct PoolNote {
  std::uint32_t slots = 0;        // That HAProxy showed in its last look.
  bool had_slots = false;         // In the look before.
  bool no_dynamic = false;        // It has refused `add server` because of its algorithm.
  bool fixed_weights = false;     // It has refused a weight other than 0 and the configured one.
  std::uint64_t fixed_batch = 0;  // The batch that brought that answer.
  bool told = false;              // That its slots are filled.
  bool someone_waits = false;     // For a slot.
};

/// The number of a slot's name; nothing for any other server.
[[nodiscard]] std::optional<std::uint32_t> slot_number(std::string_view server, std::string_view prefix);

class SlotTable {
 public:
  static constexpr std::uint32_t kNone = Slot::kNone;
  static constexpr std::size_t kSlotsMax = 4096;  // Of all pools of one HAProxy. More are left alone, and counted.

  /// `pools_max`: the greatest pool number.
  explicit SlotTable(std::size_t pools_max);

  /// Another process: nothing is known of it.
  void clear();
  /// kNone when full.
  std::uint32_t find_or_add(std::uint32_t pool, std::uint32_t number);
  void free(std::uint32_t index, Instant now);
  /// Counts each pool's slots anew. True when some pool has come to have some, or has lost all.
  bool count();

  /// The best free slot of the pool for this place: the one that has its address; one that nobody has marked; the one
  /// that has been free for the longest; the lowest number. kNone when all are taken.
  [[nodiscard]] std::uint32_t find_free(std::uint32_t pool, const Endpoint& place) const;

  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(slots_.size()); }
  [[nodiscard]] Slot& operator[](std::uint32_t index) { return slots_[index]; }
  [[nodiscard]] const Slot& operator[](std::uint32_t index) const { return slots_[index]; }
  [[nodiscard]] PoolNote& pool(std::uint32_t number) { return notes_[number]; }
  [[nodiscard]] const PoolNote& pool(std::uint32_t number) const { return notes_[number]; }

 private:
  FixedVector<Slot> slots_{kSlotsMax};  // Indices stay until `clear`.
  NameIndex index_{kSlotsMax};
  FixedVector<PoolNote> notes_;
};

}  // namespace shoal::sidecar
