#include "sidecar/registry.h"

#include <algorithm>
#include <charconv>

#include "base/hash.h"

namespace shoal::sidecar {
namespace {

constexpr std::size_t kServerNameMax = 64;

FixedString<20> in_base(std::uint64_t value, int base) {
  char digits[20];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value, base);
  SHOAL_ASSERT(error == std::errc{});
  return FixedString<20>(std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

FixedString<20> sixteen_hex(std::uint64_t value) {
  const FixedString<20> hex = in_base(value, 16);
  FixedString<20> out;
  for (std::size_t i = hex.size(); i < 16; ++i) SHOAL_ASSERT(out.append("0"));
  SHOAL_ASSERT(out.append(hex));
  return out;
}

}  // namespace

LastServer to_last_server(const Fact& fact) {
  LastServer out{fact.node, fact.addr, fact.word};
  out.word.generation.seq = 0;
  out.word.nonce = 0;
  return out;
}

Registry::Registry(const RegistryOptions& options)
    : options_(options),
      facts_(options.members_max),
      place_keys_(options.members_max),
      free_(options.members_max),
      changed_(options.members_max),
      by_node_(options.members_max),
      by_server_(options.members_max),
      tombstones_(options.tombstones_max) {
  SHOAL_ASSERT(options.members_max > 0 && options.tombstones_max > 0);
  SHOAL_ASSERT(haproxy::is_name(options.server_prefix, decltype(options.server_prefix)::capacity()));
}

std::uint32_t Registry::find(std::string_view node) const {
  return by_node_.find(node, [this](std::uint32_t i) { return facts_[i].node.view(); });
}

std::uint32_t Registry::find_server(std::string_view server) const {
  return by_server_.find(server, [this](std::uint32_t i) { return facts_[i].server.view(); });
}

haproxy::ServerName Registry::server_name(std::string_view node, std::uint64_t start_id, std::uint16_t port) const {
  const FixedString<20> start = start_id == 0 ? in_base(port, 10) : in_base(start_id, 36);
  FixedString<128> text;
  SHOAL_ASSERT(text.append(options_.server_prefix));
  const std::size_t room = kServerNameMax - text.size() - 1 - start.size();
  SHOAL_ASSERT(text.append(haproxy::is_name(node, room) ? node : sixteen_hex(hash64(as_bytes(node))).view()));
  SHOAL_ASSERT(text.append("-") && text.append(start));
  return *haproxy::ServerName::parse(text);
}

std::uint32_t Registry::find_or_add(std::string_view node) {
  const std::uint32_t known = find(node);
  if (known != kNone) return known;
  if (node.empty() || node.size() > announce::NodeName::capacity() || (free_.empty() && facts_.full())) {
    ++refused_full_;
    return kNone;
  }
  std::uint32_t index = static_cast<std::uint32_t>(facts_.size());
  if (free_.empty()) {
    facts_.emplace_back();
    place_keys_.push_back(0);
  } else {
    index = free_.back();
    free_.pop_back();
    facts_[index] = Fact{};
  }
  facts_[index].used = true;
  facts_[index].node.assign_cut(node);
  by_node_.insert(node, index);
  return index;
}

std::uint32_t Registry::on_member(Instant now, std::string_view node, const IpAddress& addr, MemberStatus status) {
  if (status == MemberStatus::kReaped && find(node) == kNone) return kNone;
  const std::uint32_t index = find_or_add(node);
  if (index == kNone) return kNone;
  Fact& fact = facts_[index];
  const Endpoint old_place = fact.place();
  const bool was_there = fact.is_there();
  fact.is_member = true;
  fact.status = status;
  if (status != MemberStatus::kReaped) fact.failed_last = status == MemberStatus::kFailed;
  if (!addr.empty() && !(fact.addr == addr)) {
    fact.addr = addr;
    fact.reach = Reach::kUnknown;
  }
  set_place_key(index);
  mark_changed(index);
  if (fact.is_there()) {
    if (fact.gone_since != kNever && fact.word.generation.start_id == 0)
      fact.departed = false;  // A Go peer's new life.
    if (!was_there) fact.back_since = now;
    fact.gone_since = kNever;
  } else {
    if (fact.gone_since == kNever) fact.gone_since = now;
    // memberlist takes a replayed `alive` again after 30 s: only a word that comes after this one counts.
    fact.needs_word = fact.has_word;
    fact.reach = Reach::kUnknown;
  }
  if (fact.has_word && (was_there != fact.is_there() || !(old_place == fact.place()))) {
    settle_places(old_place);
    settle_places(fact.place());
  }
  return index;
}

void Registry::set_wish(std::string_view node, announce::Wish wish) {
  const std::uint32_t index = find(node);
  if (index == kNone || facts_[index].wish == wish) return;
  facts_[index].wish = wish;
  mark_changed(index);
}

std::uint32_t Registry::remember(Instant now, const LastServer& server) {
  if (find(server.node.view()) != kNone) return kNone;  // What gossip has said already counts.
  const std::uint32_t index = on_member(now, server.node.view(), server.addr, MemberStatus::kRemembered);
  if (index != kNone) take_word(now, index, server.word);
  return index;
}

std::uint64_t Registry::start_key(std::string_view node, std::uint64_t start_id) {
  return hash64(as_bytes(node), start_id);
}

bool Registry::is_stale(const Fact& fact, Instant now, const announce::Generation& generation, bool is_fresh) const {
  const announce::Generation& known = fact.word.generation;
  if (fact.has_word && generation.start_id == known.start_id) {
    if (fact.departed) return true;
    if (generation.start_id == 0) return false;  // A Go peer counts nothing: its last word is its word.
    if (generation.seq < known.seq) return true;
    // Departed for a while: only what is said after that brings it back.
    if (fact.word.state == announce::TaskState::kDeparting && generation.seq == known.seq && !is_fresh) return true;
    return fact.needs_word && generation.seq == known.seq && !is_fresh;
  }
  // A clock that went back gives a smaller start: the newer one, once the old has left or failed.
  if (fact.has_word && generation.start_id < known.start_id && fact.is_there() && !fact.needs_word && !is_fresh) {
    return true;
  }
  if (generation.start_id == 0) return false;
  const std::uint64_t key = start_key(fact.node, generation.start_id);
  for (std::size_t i = tombstones_.size(); i > 0; --i) {
    const Tombstone& tombstone = const_cast<Ring<Tombstone>&>(tombstones_)[i - 1];  // Ring has no const access.
    if (tombstone.start != key || tombstone.until <= now) continue;
    if (tombstone.departed || generation.seq < tombstone.seq) return true;
    if (generation.seq == tombstone.seq && !is_fresh) return true;
  }
  return false;
}

WordVerdict Registry::on_announcement(Instant now, std::string_view node, const announce::Announcement& word) {
  const std::uint32_t index = find_or_add(node);
  if (index == kNone) return WordVerdict::kFull;
  Fact& fact = facts_[index];
  if (is_stale(fact, now, word.generation, word.nonce != 0)) {
    ++stale_words_;
    return WordVerdict::kStale;
  }
  take_word(now, index, word);
  if (word.state == announce::TaskState::kDeparting) {
    fact.departed = true;
    bury(now, fact);
    settle_places(fact.place());
  }
  return WordVerdict::kTaken;
}

WordVerdict Registry::on_departure(Instant now, std::string_view node, const announce::Departure& word) {
  const std::uint32_t index = find_or_add(node);
  if (index == kNone) return WordVerdict::kFull;
  Fact& fact = facts_[index];
  announce::Announcement& known = fact.word;
  if (!fact.has_word || word.generation.start_id != known.generation.start_id) {
    // A fresh word may name a smaller start (its clock went back); a depart comes without a nonce and may not.
    const bool is_older =
        fact.has_word && word.generation.start_id < known.generation.start_id && fact.is_there() && !fact.needs_word;
    if (is_older || is_stale(fact, now, word.generation, true)) {
      ++stale_words_;
      return WordVerdict::kStale;
    }
    announce::Announcement first;
    first.port = word.port;
    first.pool = word.pool;
    first.generation = word.generation;
    first.state = announce::TaskState::kDeparting;
    take_word(now, index, first);
  } else {
    const bool of_this_pool = word.pool.empty() || word.pool == known.pool;
    if (word.generation.seq < known.generation.seq || !of_this_pool) {
      ++stale_words_;
      return WordVerdict::kStale;
    }
    known.generation.seq = word.generation.seq;
    known.state = announce::TaskState::kDeparting;
  }
  mark_changed(index);
  if (fact.departed) return WordVerdict::kTaken;
  if (word.returns) {
    fact.needs_word = false;
    settle_places(fact.place());
    return WordVerdict::kTaken;
  }
  fact.departed = true;
  bury(now, fact);
  settle_places(fact.place());
  return WordVerdict::kTaken;
}

void Registry::take_word(Instant now, std::uint32_t index, const announce::Announcement& word) {
  Fact& fact = facts_[index];
  const Endpoint old_place = fact.place();
  const bool is_go = word.generation.start_id == 0;
  const bool same_start = fact.has_word && fact.word.generation.start_id == word.generation.start_id &&
                          (!is_go || fact.word.port == word.port);
  if (!same_start) {
    if (fact.has_word) bury(now, fact);
    fact.departed = false;
    fact.claim = ++claims_;
    fact.reach = Reach::kUnknown;
    fact.reach_failures = 0;
  }
  const bool had_word = fact.has_word;
  if (had_word && !(fact.word.pool == word.pool)) fact.server_changed = true;
  fact.word = word;
  if (fact.word.pool.empty()) fact.word.pool = options_.default_pool;
  if (fact.word.weight == 0) fact.word.weight = 100;
  fact.word.weight = std::min<std::uint16_t>(fact.word.weight, 256);
  fact.has_word = true;
  fact.needs_word = false;
  set_place_key(index);
  mark_changed(index);
  if (!(old_place == fact.place())) fact.reach = Reach::kUnknown;
  set_server(index, server_name(fact.node, word.generation.start_id, word.port));
  if (had_word && !(old_place == fact.place())) settle_places(old_place);
  settle_places(fact.place());
}

void Registry::set_server(std::uint32_t index, const haproxy::ServerName& server) {
  Fact& fact = facts_[index];
  if (fact.server == server && !fact.name_taken) return;
  const auto name_of = [this](std::uint32_t i) { return facts_[i].server.view(); };
  if (!fact.server.empty() && !fact.name_taken) by_server_.erase(fact.server.view(), name_of);
  fact.server = haproxy::ServerName{};
  fact.server_changed = true;
  fact.name_taken = find_server(server.view()) != kNone;
  if (!fact.name_taken) by_server_.insert(server.view(), index);
  fact.server = server;
}

void Registry::mark_changed(std::uint32_t index) {
  ++changes_;
  if (facts_[index].changed) return;
  facts_[index].changed = true;
  changed_.push_back(index);
}

bool Registry::take_changed(std::uint32_t& index) {
  if (changed_.empty()) return false;
  index = changed_.back();
  changed_.pop_back();
  facts_[index].changed = false;
  return true;
}

std::uint64_t Registry::place_key(const Endpoint& place) {
  const IpAddress plain = place.addr.unmapped();
  return hash64(plain.raw(), place.port) | 1;  // 0 = no place.
}

void Registry::set_place_key(std::uint32_t index) {
  const Fact& fact = facts_[index];
  place_keys_[index] = fact.has_word && fact.word.port != 0 && !fact.addr.empty() ? place_key(fact.place()) : 0;
}

bool Registry::speaks(const Fact& fact) { return fact.is_there() && fact.servable && !fact.needs_word; }

bool Registry::wants_its_place(const Fact& fact) {
  return speaks(fact) && !fact.departed && fact.word.state == announce::TaskState::kReady;
}

bool Registry::is_taken(const Endpoint& place) const {
  if (place.port == 0 || place.addr.empty()) return false;
  const std::uint64_t key = place_key(place);
  for (std::uint32_t i = 0; i < place_keys_.size(); ++i) {
    if (place_keys_[i] == key && wants_its_place(facts_[i])) return true;
  }
  return false;
}

std::uint32_t Registry::find_place(std::string_view pool, const Endpoint& place) const {
  if (place.port == 0 || place.addr.empty()) return kNone;
  const std::uint64_t key = place_key(place);
  std::uint32_t found = kNone;
  for (std::uint32_t i = 0; i < place_keys_.size(); ++i) {
    if (place_keys_[i] != key || facts_[i].word.pool != pool || facts_[i].name_taken) continue;
    if (wants_its_place(facts_[i]) && !facts_[i].shadowed) return i;
    if (found == kNone || !facts_[i].departed) found = i;
  }
  return found;
}

/// Among the tasks that are there and want requests at one place, the one that announced last has it.
void Registry::settle_places(const Endpoint& place) {
  if (place.port == 0 || place.addr.empty()) return;
  const std::uint64_t key = place_key(place);
  const auto counts = [](const Fact& fact) { return wants_its_place(fact); };
  // One that departs keeps its place until it has left: who else announced it before is not there any more, whatever
  // answers there now.
  const auto holds = [&](const Fact& fact) { return counts(fact) || (speaks(fact) && fact.departs()); };
  std::uint64_t last = 0;
  bool is_served = false;
  for (std::uint32_t i = 0; i < place_keys_.size(); ++i) {
    if (place_keys_[i] != key) continue;
    if (holds(facts_[i])) last = std::max(last, facts_[i].claim);
    is_served = is_served || counts(facts_[i]);
  }
  for (std::uint32_t i = 0; i < place_keys_.size(); ++i) {
    if (place_keys_[i] != key) continue;
    Fact& fact = facts_[i];
    // Who is gone has no place that another one serves: what answers there is that other one.
    const bool shadowed = counts(fact) ? fact.claim < last : is_served && !speaks(fact) && !fact.departed;
    if (shadowed == fact.shadowed) continue;
    fact.shadowed = shadowed;
    fact.reach = Reach::kUnknown;  // Who answers there now is another question than before.
    mark_changed(i);
  }
}

void Registry::set_servable(std::uint32_t index, bool servable) {
  Fact& fact = facts_[index];
  if (fact.servable == servable) return;
  fact.servable = servable;
  settle_places(fact.place());
}

void Registry::bury(Instant now, const Fact& fact) {
  if (!fact.has_word || fact.word.generation.start_id == 0) return;
  if (tombstones_.full()) tombstones_.pop();
  tombstones_.push(Tombstone{start_key(fact.node, fact.word.generation.start_id), fact.word.generation.seq,
                             fact.departed, now + options_.tombstone_life});
}

void Registry::forget(Instant now, std::uint32_t index) {
  Fact& fact = facts_[index];
  SHOAL_ASSERT(fact.used);
  bury(now, fact);
  if (!fact.server.empty() && !fact.name_taken) {
    by_server_.erase(fact.server.view(), [this](std::uint32_t i) { return facts_[i].server.view(); });
  }
  by_node_.erase(fact.node, [this](std::uint32_t i) { return facts_[i].node.view(); });
  const Endpoint place = fact.place();
  for (std::size_t i = 0; fact.changed && i < changed_.size(); ++i) {
    if (changed_[i] != index) continue;
    changed_.swap_erase(i);
    break;
  }
  fact = Fact{};
  place_keys_[index] = 0;
  free_.push_back(index);
  settle_places(place);
}

}  // namespace shoal::sidecar
