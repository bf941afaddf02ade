// What the registrar knows of each member. Slots are stable: a record stays where it is until its member is forgotten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "announce/member.h"
#include "announce/messages.h"
#include "base/containers.h"
#include "base/endpoint.h"
#include "base/time.h"

namespace shoal::announce {

struct MemberRecord {
  NodeName name;  // Empty: the slot is free.
  Endpoint gossip;
  MemberStatus status = MemberStatus::kAlive;
  Instant alive_since{};
  bool is_shoal = false;
  bool is_task = false;

  // The statement in force, or (has_claim) the one that waits for its claim to be confirmed.
  bool has_statement = false;  // `said` holds the newest word of this member.
  bool departed = false;       // ... which is a depart: final for its start.
  bool returns = false;        // ... which is a depart that is not final.
  bool ended = false;          // The member failed or left since `said`: any start's next announcement is news.
  bool has_claim = false;      // `said` has not been forwarded: the claim is not confirmed.
  bool confirmed = false;      // Of start `said.generation.start_id`, at this address.
  Instant claimed_at{};
  Announcement said;

  // What the sidecar core says of it. Not valid between a Forward* and the on_standing that follows it.
  bool standing_valid = false;
  Standing standing;

  bool solicit_wanted = false;         // In the queue of those to be solicited ...
  bool solicit_wanted_urgent = false;  // ... and in that of claims.
  std::uint32_t next_free = NameIndex::kNone;
};

class MemberTable {
 public:
  static constexpr std::uint32_t kNone = NameIndex::kNone;

  explicit MemberTable(std::size_t members_max) : records_(members_max), index_(members_max) {}

  [[nodiscard]] std::uint32_t find(std::string_view name) const {
    return index_.find(name, [this](std::uint32_t i) { return records_[i].name.view(); });
  }
  /// kNone when full. REQUIRES: the name is not in the table and fits a NodeName.
  std::uint32_t add(std::string_view name);
  void remove(std::uint32_t slot);

  MemberRecord& operator[](std::uint32_t slot) { return records_[slot]; }
  const MemberRecord& operator[](std::uint32_t slot) const { return records_[slot]; }
  [[nodiscard]] std::size_t size() const { return index_.size(); }
  /// One past the highest slot ever used; free slots in between have an empty name.
  [[nodiscard]] std::uint32_t slots() const { return static_cast<std::uint32_t>(records_.size()); }

 private:
  FixedVector<MemberRecord> records_;
  NameIndex index_;
  std::uint32_t first_free_ = kNone;
};

}  // namespace shoal::announce
