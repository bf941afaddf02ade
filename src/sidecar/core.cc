#include "sidecar/core.h"

#include <algorithm>
#include <utility>

namespace shoal::sidecar {
namespace {

std::size_t servers_max(const Options& options) {
  // One for each task, and as many left over from earlier starts or from before a restart.
  return std::size_t{options.registry.members_max} * 2 + 16;
}

haproxy::SessionOptions session_options(const Options& options, std::size_t number) {
  haproxy::SessionOptions session = options.session;
  session.is_master = options.is_master[number];
  return session;
}

}  // namespace

Core::Proxy::Proxy(const Options& options, std::size_t number, Rng rng, Instant now)
    : session(session_options(options, number), rng, now),
      table(servers_max(options)),
      slots(ServerTable::kPoolsMax),
      look_at(now),
      batch_not_before(now),
      drain_poll(options.drain_poll_min),
      check_poll(options.check_poll_min),
      shares(ServerTable::kPoolsMax + 1) {
  while (!shares.full()) shares.emplace_back();
}

Core::Core(const Options& options, Rng rng, Instant now)
    : options_(options),
      rng_(rng),
      now_(now),
      started_(now),
      registry_(options.registry),
      verifier_(VerifierOptions{}, options.registry.members_max, rng_.fork()),
      looks_(servers_max(options)),
      proxies_(options.sockets.size()),
      standings_due_(options.registry.members_max) {
  SHOAL_ASSERT(!options.sockets.empty());
  for (std::size_t i = 0; i < options.sockets.size(); ++i) proxies_.emplace_back(options_, i, rng_.fork(), now);
}

void Core::begin_input(Instant now, const Outbox& out) {
  SHOAL_ASSERT(now >= now_);
  SHOAL_ASSERT(out.empty() && out.proxies() == proxies_.size());
  now_ = now;
}

// ---- facts

void Core::on_member(Instant now, std::string_view node, const IpAddress& addr, MemberStatus status, Outbox& out) {
  begin_input(now, out);
  const std::uint64_t refused = registry_.refused_full();
  registry_.on_member(now, node, addr, status);
  if (registry_.refused_full() != refused) log_event(out, EventKind::kMembersFull, 0, nullptr, node);
  pump(now, out);
}

void Core::on_wish(Instant now, std::string_view node, announce::Wish wish, Outbox& out) {
  begin_input(now, out);
  registry_.set_wish(node, wish);
  pump(now, out);
}

void Core::on_announcement(Instant now, std::string_view node, const announce::Announcement& word, Outbox& out) {
  begin_input(now, out);
  const WordVerdict verdict = registry_.on_announcement(now, node, word);
  if (verdict == WordVerdict::kFull) log_event(out, EventKind::kMembersFull, 0, nullptr, node);
  pump(now, out);
}

void Core::on_departure(Instant now, std::string_view node, const announce::Departure& word, Outbox& out) {
  begin_input(now, out);
  const WordVerdict verdict = registry_.on_departure(now, node, word);
  if (verdict == WordVerdict::kFull) log_event(out, EventKind::kMembersFull, 0, nullptr, node);
  pump(now, out);
}

void Core::on_cluster_ready(Instant now, Outbox& out) {
  begin_input(now, out);
  cluster_ready_at_ = std::min(cluster_ready_at_, now);
  for (Proxy& proxy : proxies_) proxy.dirty = true;
  pump(now, out);
}

void Core::remember(Instant now, const LastServer& server, Outbox& out) {
  begin_input(now, out);
  if (registry_.remember(now, server) != Registry::kNone) has_remembered_ = true;
  pump(now, out);
}

/// Whom gossip had time to find and did not.
void Core::give_up_remembered(Instant now) {
  has_remembered_ = false;
  for (std::uint32_t i = 0; i < registry_.size(); ++i) {
    const Fact& fact = registry_[i];
    if (!fact.used || fact.status != MemberStatus::kRemembered) continue;
    registry_.on_member(now, fact.node.view(), fact.addr, MemberStatus::kFailed);
  }
}

void Core::take_changed_facts(Instant now) {
  if (pools_changed_) {
    pools_changed_ = false;
    for (std::uint32_t i = 0; i < registry_.size(); ++i) {
      if (registry_[i].used && registry_[i].has_word) registry_.set_servable(i, is_servable(registry_[i]));
    }
  }
  std::uint32_t index = 0;
  while (registry_.take_changed(index)) fact_changed(now, index);
}

void Core::fact_changed(Instant now, std::uint32_t index) {
  Fact& fact = registry_[index];
  standing_changed(index);
  const Wanted goal = wanted(fact, options_.policy, now);
  facts_at_ = earlier(facts_at_, goal.changes_at);
  const bool wants_rotation = goal.goal == Goal::kInRotation || goal.goal == Goal::kUnverified;
  if (goal.goal == Goal::kUnverified) {
    verifier_.want(now, registry_, index);
    facts_at_ = earlier(facts_at_, verify_again_at(now, fact));
  }
  if (fact.status == MemberStatus::kReaped && fact.is_member) facts_at_ = earlier(facts_at_, now + 1ms);
  if (fact.has_word) registry_.set_servable(index, is_servable(fact));
  const auto pool = haproxy::BackendName::parse(fact.word.pool);
  const bool left_a_server = fact.server_changed;
  fact.server_changed = false;
  if (!fact.has_word || fact.name_taken || !pool) return;
  for (Proxy& proxy : proxies_) {
    proxy.old_at = now;
    proxy.dirty = proxy.dirty || left_a_server;
    std::uint32_t row = proxy.table.find(pool->view(), fact.server.view());
    const bool has_none = row == ServerTable::kNone || !(proxy.table[row].observed.present || proxy.table[row].bound());
    const std::uint32_t orphan = has_none ? find_orphan(proxy, index) : SlotTable::kNone;
    const std::uint32_t old_stray = has_none ? find_old_stray(proxy, index) : ServerTable::kNone;
    const bool stands_there = orphan != SlotTable::kNone || old_stray != ServerTable::kNone;
    if (row == ServerTable::kNone && (wants_rotation || stands_there)) {
      row = proxy.table.find_or_add(*pool, fact.server);
      if (row == ServerTable::kNone) ++counts_.table_full;
    }
    if (row == ServerTable::kNone) continue;
    if (orphan != SlotTable::kNone) adopt_slot(now, proxy, orphan, row);
    if (old_stray != ServerTable::kNone) take_over_old(proxy, old_stray, row);
    Server& server = proxy.table[row];
    server.fact = index;
    server.stray_since = kNever;
    server.superseded = false;
    server.retry_at = kNever;  // What has changed deserves a try at once.
    const NextStep next = next_step(goal, fact.place(), server.observed, now);
    const bool is_asked = goal.ask != Ask::kNothing;
    if (!is_asked) server.look = Look{};  // What was seen in this absence says nothing of the next one.
    proxy.dirty = proxy.dirty || next.step != Step::kNone || is_asked || server.leaving != Leaving::kNotAsked;
    proxy.plan_at = earlier(proxy.plan_at, earlier(next.not_before, goal.changes_at));
    if (server.observed.in_maintenance() && !server.observed.drained) proxy.drain_poll_at = now;
  }
}

/// False only when it is sure that no HAProxy will take it as it is.
bool Core::is_servable(const Fact& fact) const {
  if (objection(fact, options_.policy) != Objection::kNone) return false;
  return std::any_of(proxies_.begin(), proxies_.end(), [&](const Proxy& proxy) {
    if (!proxy.table.may_have_pool(fact.word.pool)) return false;
    if (!proxy.looked) return true;
    const PoolNote& note = proxy.slots.pool(proxy.table.find_number(fact.word.pool));
    return note.slots > 0 || (!note.no_dynamic && options_.method != Method::kSlots);
  });
}

bool Core::is_in_any_table(const Fact& fact) const {
  return std::any_of(proxies_.begin(), proxies_.end(), [&fact](const Proxy& proxy) {
    const std::uint32_t row = proxy.table.find(fact.word.pool, fact.server.view());
    if (row == ServerTable::kNone) return false;
    // A held one is put back when HAProxy restarts.
    return proxy.table[row].observed.present || proxy.table[row].leaving == Leaving::kKept;
  });
}

/// When a place that has not answered, or found the queue of tries full, is to be looked at again; never at once.
Instant Core::verify_again_at(Instant now, const Fact& fact) {
  if (fact.reach == Reach::kFailed) return std::max(fact.reach_retry_at, now + 10ms);
  return fact.reach == Reach::kUnknown ? now + 10ms : kNever;
}

/// Facts whose wanted state changes by time alone: grace, verify again, reaped members.
void Core::sweep_facts(Instant now) {
  facts_at_ = kNever;
  for (std::uint32_t i = 0; i < registry_.size(); ++i) {
    Fact& fact = registry_[i];
    if (!fact.used) continue;
    if (fact.is_member && fact.status == MemberStatus::kReaped) {
      if (fact.has_word && is_in_any_table(fact)) {
        facts_at_ = earlier(facts_at_, now + options_.reconcile_interval);
      } else {
        registry_.forget(now, i);
      }
      continue;
    }
    if (!fact.has_word) continue;
    const Wanted goal = wanted(fact, options_.policy, now);
    facts_at_ = earlier(facts_at_, goal.changes_at);
    if (goal.goal != Goal::kUnverified) continue;
    verifier_.want(now, registry_, i);
    facts_at_ = earlier(facts_at_, verify_again_at(now, fact));
  }
  for (Proxy& proxy : proxies_) proxy.dirty = true;
}

void Core::on_verify_result(Instant now, std::uint32_t id, VerifyResult result, Outbox& out) {
  begin_input(now, out);
  const bool is_look = (id & Looks::kIdBit) != 0;
  if (is_look) take_look_result(now, id, result);
  const std::uint32_t index = is_look ? Registry::kNone : verifier_.on_result(now, registry_, id, result);
  if (index != Registry::kNone) {
    fact_changed(now, index);
    if (registry_[index].reach == Reach::kFailed) verify_failed(index, out);
  }
  pump(now, out);
}

void Core::verify_failed(std::uint32_t index, Outbox& out) {
  const Fact& fact = registry_[index];
  if (fact.reach_failures != 1 || out.events.full()) return;  // Said once for each start and place.
  Event& event = out.events.emplace_back();
  event.kind = EventKind::kServerUnreachable;
  event.node = fact.node;
  event.server = fact.server;
  event.place = fact.place();
  event.text = standing(fact.node, fact.word.generation).reason_text;
}

// ---- sockets

void Core::on_connected(Instant now, std::size_t proxy, haproxy::Stream stream, Outbox& out) {
  begin_input(now, out);
  proxies_[proxy].session.on_connected(now, stream, out.session(proxy));
  take_session_events(now, proxy, out);
  pump(now, out);
}

void Core::on_connect_failed(Instant now, std::size_t proxy, haproxy::Stream stream, std::string_view text,
                             bool nobody_listens, Outbox& out) {
  begin_input(now, out);
  proxies_[proxy].session.on_connect_failed(now, stream, text, nobody_listens, out.session(proxy));
  take_session_events(now, proxy, out);
  pump(now, out);
}

void Core::on_bytes(Instant now, std::size_t proxy, haproxy::Stream stream, Bytes bytes, Outbox& out) {
  begin_input(now, out);
  proxies_[proxy].session.on_bytes(now, stream, bytes, out.session(proxy));
  take_session_events(now, proxy, out);
  pump(now, out);
}

void Core::on_closed(Instant now, std::size_t proxy, haproxy::Stream stream, Outbox& out) {
  begin_input(now, out);
  proxies_[proxy].session.on_closed(now, stream, out.session(proxy));
  take_session_events(now, proxy, out);
  pump(now, out);
}

// ---- time

void Core::on_deadline(Instant now, Outbox& out) {
  begin_input(now, out);
  for (std::uint32_t late = verifier_.on_deadline(now, registry_); late != Registry::kNone;
       late = verifier_.on_deadline(now, registry_)) {
    fact_changed(now, late);
    verify_failed(late, out);
  }
  for (std::uint32_t id = looks_.overdue(now); id != 0; id = looks_.overdue(now)) {
    take_look_result(now, id, VerifyResult::kTimedOut);
  }
  for (std::size_t i = 0; i < proxies_.size(); ++i) {
    if (now < proxies_[i].session.next_deadline()) continue;
    proxies_[i].session.on_deadline(now, out.session(i));
    take_session_events(now, i, out);
  }
  pump(now, out);
}

Instant Core::next_deadline() const {
  Instant next = earlier(facts_at_, earlier(verifier_.next_deadline(), looks_.next_deadline()));
  if (!standings_due_.empty()) next = earlier(next, now_ + 1ms);
  if (has_remembered_) next = earlier(next, strays_from());
  for (const Proxy& proxy : proxies_) {
    next = earlier(next, proxy.session.next_deadline());
    next = earlier(next, next_action(proxy));
  }
  return next;
}

/// The end of every input: what can be done now is done now.
void Core::pump(Instant now, Outbox& out) {
  if (has_remembered_ && now >= strays_from()) give_up_remembered(now);
  take_changed_facts(now);
  if (now >= facts_at_) {
    sweep_facts(now);
    take_changed_facts(now);
  }
  for (std::size_t i = 0; i < proxies_.size(); ++i) {
    Proxy& proxy = proxies_[i];
    if (std::exchange(proxy.gone, is_gone(proxy)) != proxy.gone) all_standings_changed();
    act(now, i, out);
    watch_old(now, proxies_[i]);
  }
  verifier_.start(now, registry_, out.verifies);
  start_looks(now, out);
  emit_standings(out);
}

// ---- events

void Core::log_event(Outbox& out, EventKind kind, std::size_t proxy, const Server* server, std::string_view text) {
  if (out.events.full()) {
    ++counts_.events_dropped;
    return;
  }
  Event& event = out.events.emplace_back();
  event.kind = kind;
  event.proxy = static_cast<std::uint8_t>(proxy);
  event.text.assign_cut(text);
  if (kind == EventKind::kMembersFull) event.node.assign_cut(text);
  if (server == nullptr) return;
  event.server = name_in_haproxy(proxies_[proxy], *server);
  event.pool = server->pool;
  event.place = server->observed.address;
  if (!is_claimed(*server)) return;
  event.node = registry_[server->fact].node;
  event.place = registry_[server->fact].place();
}

void Core::standing_changed(std::uint32_t index) {
  Fact& fact = registry_[index];
  if (fact.standing_due || standings_due_.full()) return;
  fact.standing_due = true;
  standings_due_.push_back(index);
}

void Core::all_standings_changed() {
  for (std::uint32_t i = 0; i < registry_.size(); ++i) {
    if (registry_[i].used && registry_[i].has_word) standing_changed(i);
  }
}

void Core::emit_standings(Outbox& out) {
  while (!standings_due_.empty() && !out.events.full()) {
    const std::uint32_t index = standings_due_.back();
    standings_due_.pop_back();
    Fact& fact = registry_[index];
    if (!fact.used || !fact.standing_due) continue;  // Forgotten meanwhile.
    fact.standing_due = false;
    out.events.emplace_back().node = fact.node;
  }
}

}  // namespace shoal::sidecar
