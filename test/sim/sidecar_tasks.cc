// The world's tasks: what is true of them, and how the sidecar hears of it.
#include <algorithm>

#include "sim/sidecar_world.h"

namespace shoal::test {
namespace {

using announce::TaskState;
using sidecar::MemberStatus;

bool is_there(MemberStatus status) { return status == MemberStatus::kAlive || status == MemberStatus::kSuspect; }

std::string base_36(std::uint64_t value) {
  std::string out;
  do {
    out.insert(out.begin(), "0123456789abcdefghijklmnopqrstuvwxyz"[value % 36]);
    value /= 36;
  } while (value > 0);
  return out;
}

}  // namespace

std::size_t World::start_of(std::string_view server) const {
  const auto it = servers_.find(server);
  return it == servers_.end() ? Node::kNoStart : it->second;
}

std::size_t World::start_of(std::size_t host, std::string_view pool, std::string_view server) const {
  HaproxyProcess* live = hosts_[host]->live();
  const ModelServer* there = live == nullptr ? nullptr : live->find(pool, server);
  return start_of(there == nullptr ? server : std::string_view(there->who()));
}

bool World::is_ours(std::string_view server) const {
  const std::string_view prefix = options_.core.registry.server_prefix;
  return server.substr(0, prefix.size()) == prefix;
}

bool World::answers(const Endpoint& place) const {
  return std::any_of(starts_.begin(), starts_.end(), [&](const Start& start) {
    return start.worker_lives && start.host_lives && start.place == place;
  });
}

bool World::is_silent(const Endpoint& place) const {
  bool silent = false;
  for (const Start& start : starts_) {
    if (start.place == place) silent = !start.host_lives;
  }
  return silent && !answers(place);
}

// ---- what happens to tasks

std::size_t World::begin(std::size_t node, const IpAddress& addr, std::uint16_t port, const std::string& pool,
                         std::uint16_t weight, std::uint64_t id) {
  Node& of = nodes_[node];
  if (of.start != Node::kNoStart && starts_[of.start].task_lives) kill_task(of.start, false);
  Start start;
  start.node = node;
  start.id = id;
  start.seq = 1;
  start.pool = pool;
  start.place = Endpoint{addr, port};
  start.weight = weight;
  start.server = std::string(options_.core.registry.server_prefix.view()) + of.name + "-" + base_36(id);
  const std::size_t number = starts_.size();
  servers_[start.server] = number;
  starts_.push_back(start);
  good_since_.push_back(kNever);
  of.start = number;
  of.addr = addr;
  of.is_member = true;
  of.wish = announce::Wish::kNone;
  of.status = MemberStatus::kAlive;
  relabel_slots();
  tell_member(node, word_delay());
  go_on_saying(number, 1, Duration{});
  return number;
}

void World::say(std::size_t which, TaskState state) {
  Start& start = starts_[which];
  if (!start.task_lives || start.says == state || start.says == TaskState::kDeparting) return;
  start.says = state;
  relabel_slots();
  start.accepted = false;
  ++start.seq;
  if (state == TaskState::kDeparting) {
    start.departs_at = now();
    timeline_.after(options_.drain_timeout, [this, which] { stop_task(which); });
  }
  go_on_saying(which, start.seq, Duration{});
}

void World::set_weight(std::size_t which, std::uint16_t weight) {
  Start& start = starts_[which];
  if (!start.task_lives || start.says == TaskState::kDeparting) return;
  start.weight = weight;
  start.accepted = false;
  ++start.seq;
  go_on_saying(which, start.seq, Duration{});
}

void World::kill_worker(std::size_t which) {
  Start& start = starts_[which];
  if (!start.worker_lives) return;
  start.worker_lives = false;
  start.worker_died = now();
  for (const auto& host : hosts_) host->end_requests(to_text(start.place.addr), start.place.port);
}

void World::kill_task(std::size_t which, bool host_too) {
  Start& start = starts_[which];
  start.task_lives = false;
  start.host_lives = start.host_lives && !host_too;
  relabel_slots();
  kill_worker(which);
}

/// The end of a stop: nobody waits for the worker any more. Then the member leaves.
void World::stop_task(std::size_t which) {
  if (!starts_[which].task_lives) return;
  kill_task(which, false);
  const std::size_t node = starts_[which].node;
  if (nodes_[node].start != which) return;
  set_status(node, MemberStatus::kLeaving);
  timeline_.after(100ms + rng_.below(Duration(2s)), [this, node, which] {
    if (nodes_[node].start == which && nodes_[node].status == MemberStatus::kLeaving) {
      set_status(node, MemberStatus::kLeft);
    }
  });
}

void World::set_status(std::size_t node, MemberStatus status) {
  Node& of = nodes_[node];
  if (!of.is_member || of.status == status) return;
  const bool was_away = !is_there(of.status);
  of.status = status;
  tell_member(node, word_delay());
  if (status == MemberStatus::kReaped) of.is_member = false;
  if (!is_there(status) || !was_away || of.start == Node::kNoStart) return;
  // Who is back is asked what it says now.
  if (starts_[of.start].task_lives) tell_word(of.start, word_delay() + rng_.below(Duration(2s)), true);
}

void World::set_address(std::size_t node, const IpAddress& addr) {
  Node& of = nodes_[node];
  if (!of.is_member || of.addr == addr) return;
  of.addr = addr;
  if (of.start != Node::kNoStart && starts_[of.start].task_lives) {
    Start& start = starts_[of.start];
    for (const auto& host : hosts_) host->end_requests(to_text(start.place.addr), start.place.port);
    start.place.addr = addr;
    relabel_slots();
    start.accepted = false;
    note_told(node);
  }
  tell_member(node, word_delay());
}

void World::set_wish(std::size_t node, announce::Wish wish) {
  Node& of = nodes_[node];
  if (!of.is_member || !is_there(of.status) || of.wish == wish) return;
  of.wish = wish;
  if (of.start != Node::kNoStart) starts_[of.start].accepted = false;
  tell_member(node, word_delay());
}

void World::revive_machines() {
  for (Start& start : starts_) start.host_lives = true;
}

// ---- how the sidecar hears of it

void World::tell_member(std::size_t node, Duration delay) {
  Node& of = nodes_[node];
  of.told_until = std::max(of.told_until, now() + delay);
  timeline_.at(of.told_until, [this, node, life = life_, status = of.status, addr = of.addr, wish = of.wish] {
    if (life != life_ || !core_) return;
    give({[this, node, status, addr, wish] {
            Told& told = told_[node];
            told.is_member = true;
            told.status = status;
            told.addr = addr;
            told.wish = wish;
            if (!is_there(status) && told.start != Node::kNoStart) told.needs_word = true;
            if (status == MemberStatus::kReaped) {
              const bool had_word = told.start != Node::kNoStart;
              told = Told{};
              told.is_forgotten = had_word;
            }
            note_told(node);
            note(40, nodes_[node].name);
          },
          [this, node, status, addr](sidecar::Core& core, Instant at, sidecar::Outbox& out) {
            core.on_member(at, nodes_[node].name, addr, status, out);
          }});
    if (!core_) return;
    give({nullptr, [this, node, wish](sidecar::Core& core, Instant at, sidecar::Outbox& out) {
            core.on_wish(at, nodes_[node].name, wish, out);
          }});
  });
}

/// What the start says by then; it is asked again until it has been heard.
void World::tell_word(std::size_t which, Duration delay, bool solicited) {
  timeline_.after(delay, [this, which, solicited, life = life_] {
    const Start& start = starts_[which];
    if (life != life_ || !core_ || !start.task_lives) return;
    const Told& told = told_[start.node];
    if (!told.is_member && nodes_[start.node].is_member) return tell_word(which, 1s, solicited);
    hear_word(which, start.seq, start.says, start.weight, solicited);
  });
}

void World::repeat_word(std::size_t which, std::uint64_t seq, TaskState state) {
  hear_word(which, seq, state, starts_[which].weight, false);
}

void World::hear_word(std::size_t which, std::uint64_t seq, TaskState state, std::uint16_t weight, bool solicited) {
  if (hears && !hears(which)) return;
  const Told& known = told_[starts_[which].node];
  const bool may_speak = known.is_member && (is_there(known.status) || state == TaskState::kDeparting);
  if (!may_speak) return;  // The registrar hears members alone.
  const Start& said = starts_[which];
  const auto call = [this, which, seq, state, weight, solicited, port = said.place.port](
                        sidecar::Core& core, Instant at, sidecar::Outbox& out) {
    const Start& start = starts_[which];
    const std::string_view name = nodes_[start.node].name;
    if (state == TaskState::kDeparting) {
      announce::Departure word;
      word.port = port;
      word.pool.assign_cut(start.pool);
      word.generation = {start.id, seq};
      return core.on_departure(at, name, word, out);
    }
    announce::Announcement word;
    word.port = port;
    word.pool.assign_cut(start.pool);
    word.state = state;
    word.weight = weight;
    word.generation = {start.id, seq};
    word.nonce = solicited ? 1 + seq : 0;
    core.on_announcement(at, name, word, out);
  };
  give({[this, which, seq, state, solicited] { note_word(which, seq, state, solicited); }, call});
  if (core_ && !sidecar_paused()) look_at_standing(starts_[which].node);
}

/// What the core has to make of a word.
void World::note_word(std::size_t which, std::uint64_t seq, TaskState state, bool solicited) {
  const Start& start = starts_[which];
  Told& told = told_[start.node];
  note(41, start.server);
  if (told.start == which) {
    if (seq > told.seq || (told.needs_word && solicited && seq == told.seq)) {
      if (told.state != TaskState::kDeparting) told.state = state;  // A depart is final for its start.
      told.seq = seq;
      told.needs_word = false;
    }
    told.is_mixed = told.is_mixed && !solicited;
  } else {
    const bool is_older = told.start != Node::kNoStart && start.id < starts_[told.start].id;
    if (is_older && !solicited && is_there(told.status) && !told.needs_word) return;  // Stale.
    told.is_mixed = is_older && !solicited;
    told.start = which;
    told.seq = seq;
    told.state = state;
    told.needs_word = false;
  }
  note_told(start.node);
}

/// A task repeats its word until the sidecar has put it into force; the registrar lets news alone through.
void World::go_on_saying(std::size_t which, std::uint64_t seq, Duration wait) {
  timeline_.after(wait + word_delay(), [this, which, seq, wait] {
    const Start& start = starts_[which];
    if (!start.task_lives || start.seq != seq) return;
    const Told& told = told_[start.node];
    const bool is_news = told.start != which || told.seq < seq || told.needs_word || told.is_mixed;
    if (core_ && is_news && is_there(nodes_[start.node].status)) {
      hear_word(which, seq, start.says, start.weight, told.needs_word || rng_.one_in(2));
    } else if (core_ && !sidecar_paused()) {
      look_at_standing(start.node);
    }
    go_on_saying(which, seq, std::min<Duration>(std::max<Duration>(2 * wait, 500ms), 5s));
  });
}

// ---- the ledger

bool World::is_good(std::size_t which) const {
  const Start& start = starts_[which];
  const Told& told = told_[start.node];
  if (!told.is_member || !is_there(told.status) || !(told.addr == start.place.addr)) return false;
  if (told.start != which || told.state != TaskState::kReady || told.needs_word || told.is_mixed) return false;
  if (told.wish != announce::Wish::kNone) return false;
  return !is_claimed_by_others(which);
}

bool World::is_wanted(std::size_t which) const {
  const Start& start = starts_[which];
  const Node& node = nodes_[start.node];
  if (node.start != which || !node.is_member || !is_there(node.status) || node.wish != announce::Wish::kNone)
    return false;
  if (!start.task_lives || !start.worker_lives || start.says != TaskState::kReady) return false;
  HaproxyProcess* live = hosts_[0]->live();
  const ModelPool* pool = live == nullptr ? nullptr : live->find_pool(start.pool);
  return pool != nullptr && pool->can_take_servers();
}

bool World::is_claimed_by_others(std::size_t which) const {
  const Start& start = starts_[which];
  for (std::size_t i = 0; i < told_.size(); ++i) {
    if (i == start.node || told_[i].start == Node::kNoStart || !is_there(told_[i].status)) continue;
    const Start& other = starts_[told_[i].start];
    if (other.place.port == start.place.port && told_[i].addr == start.place.addr) return true;
  }
  return false;
}

void World::note_told(std::size_t node) {
  for (std::size_t i = 0; i < starts_.size(); ++i) {
    if (!is_good(i)) {
      good_since_[i] = kNever;
    } else if (good_since_[i] == kNever) {
      good_since_[i] = now();
    }
  }
  for (WorldObserver* observer : observers_) observer->on_told(*this, node);
}

}  // namespace shoal::test
