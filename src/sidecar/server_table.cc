#include "sidecar/server_table.h"

#include <algorithm>

#include "base/hash.h"

namespace shoal::sidecar {
namespace {

FixedString<200> key_of(std::string_view pool, std::string_view name) {
  FixedString<200> key;
  key.assign_cut(pool);
  // Longer texts are no checked names, so no key in the table equals what is cut off here.
  if (!key.append("/") || !key.append(name)) key.clear();
  return key;
}

}  // namespace

FixedString<200> Server::key() const { return key_of(pool.view(), name.view()); }

std::uint32_t Server::wished_id() const {
  return static_cast<std::uint32_t>(hash64(as_bytes(name.view()), id_attempt) % 0x7fffffff) + 1;
}

void Server::show(const haproxy::ServerRow& row) {
  id = row.id;
  observed.present = true;
  observed.address = row.address;
  observed.op_state = row.op_state;
  observed.admin = row.admin;
  observed.weight = row.weight;
  observed.has_check = row.has_check;
  observed.is_slot = bound();
}

bool Server::has_old() const {
  return std::any_of(old.begin(), old.end(), [](const OldPlace& p) { return p.state != OldPlace::State::kNone; });
}

std::uint32_t Server::old_in_flight() const {
  std::uint32_t sum = 0;
  for (const OldPlace& place : old) sum += place.state == OldPlace::State::kWatched ? place.in_flight : 0;
  return sum;
}

ServerTable::ServerTable(std::size_t capacity) : servers_(capacity), free_(capacity), index_(capacity) {}

std::uint32_t ServerTable::find(std::string_view pool, std::string_view name) const {
  return index_.find(key_of(pool, name).view(), [this](std::uint32_t i) { return servers_[i].key(); });
}

std::uint32_t ServerTable::find_or_add(const haproxy::BackendName& pool, const haproxy::ServerName& name) {
  std::uint32_t index = find(pool.view(), name.view());
  if (index != kNone || (free_.empty() && servers_.full())) return index;
  if (free_.empty()) {
    index = size();
    servers_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
    servers_[index] = Server{};
  }
  servers_[index].used = true;
  servers_[index].pool = pool;
  servers_[index].name = name;
  servers_[index].pool_number = number_of(pool);
  index_.insert(servers_[index].key(), index);
  return index;
}

std::uint32_t ServerTable::find_number(std::string_view pool) const {
  const std::uint32_t known = numbers_.find(pool, [this](std::uint32_t i) { return numbered_[i].view(); });
  return known == NameIndex::kNone ? static_cast<std::uint32_t>(kPoolsMax) : known;
}

std::uint32_t ServerTable::number_of(const haproxy::BackendName& pool) {
  const std::uint32_t known = find_number(pool.view());
  if (known < kPoolsMax) return known;
  const auto number = static_cast<std::uint32_t>(numbered_.size());
  if (numbered_.full()) return number;
  numbered_.push_back(pool);
  numbers_.insert(pool.view(), number);
  return number;
}

void ServerTable::erase(std::uint32_t index) {
  SHOAL_ASSERT(servers_[index].used);
  index_.erase(servers_[index].key(), [this](std::uint32_t i) { return servers_[i].key(); });
  servers_[index] = Server{};
  free_.push_back(index);
}

void ServerTable::add_pool(const haproxy::BackendName& pool) {
  if (pools_.full()) {
    pools_cut_ = true;
    return;
  }
  pools_.push_back(pool);
}

bool ServerTable::may_have_pool(std::string_view pool) const {
  if (pools_.empty() || pools_cut_) return true;
  return std::any_of(pools_.begin(), pools_.end(), [pool](const haproxy::BackendName& p) { return p == pool; });
}

}  // namespace shoal::sidecar
