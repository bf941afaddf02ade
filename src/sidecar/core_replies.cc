// What HAProxy says, into the server table.
#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "sidecar/core.h"

namespace shoal::sidecar {

void Core::take_session_events(Instant now, std::size_t number, Outbox& out) {
  Proxy& proxy = proxies_[number];
  auto& events = out.session(number).events;
  for (const haproxy::SessionEvent& event : events) {
    switch (event.kind) {
      case haproxy::SessionEvent::Kind::kUp: take_up(now, number, event, out); break;
      case haproxy::SessionEvent::Kind::kDown:
        proxy.looked = false;
        log_event(out, EventKind::kHaproxyDown, number, nullptr, event.text);
        all_standings_changed();
        break;
      case haproxy::SessionEvent::Kind::kRetired: take_retired(number, event, out); break;
      case haproxy::SessionEvent::Kind::kOldCount: take_old_count(number, event, out); break;
      case haproxy::SessionEvent::Kind::kOldGone: take_old_gone(number, event, out); break;
      case haproxy::SessionEvent::Kind::kReply: take_reply(now, number, event, out); break;
      case haproxy::SessionEvent::Kind::kBatchDone:
        // A table that cannot be read (a socket below operator level) is not asked for in a tight loop.
        proxy.batch_not_before = now + (proxy.looked ? options_.batch_gap : options_.refusal_backoff_min);
        break;
    }
  }
  events.clear();
}

void Core::take_up(Instant now, std::size_t number, const haproxy::SessionEvent& event, Outbox& out) {
  Proxy& proxy = proxies_[number];
  proxy.looked = false;
  proxy.dirty = true;
  proxy.look_at = now;
  proxy.batch_not_before = now;
  log_event(out, event.replaced ? EventKind::kHaproxyReplaced : EventKind::kHaproxyUp, number, nullptr, event.text);
  const std::string_view fault = proxy.session.traits().fault;
  if (!fault.empty() && fault != std::exchange(proxy.fault_told, fault)) {
    log_event(out, EventKind::kHaproxyFault, number, nullptr, fault);
  }
  const haproxy::Level level = proxy.session.level();
  const bool is_low = level == haproxy::Level::kUser || level == haproxy::Level::kOperator;
  if (is_low && !std::exchange(proxy.level_told, true)) {
    log_event(out, EventKind::kSocketLevel, number, nullptr, level == haproxy::Level::kUser ? "user" : "operator");
  }
  for (std::uint32_t i = 0; i < proxy.table.size(); ++i) {
    Server& server = proxy.table[i];
    if (!server.used) continue;
    // Another process knows nothing of the old one's servers.
    if (event.replaced) {
      server.old_place = server.observed.address;
      server.observed = Observed{};
      server.slot = Slot::kNone;
    }
    server.last_step = Step::kNone;
    server.retry_at = kNever;
    server.refusals = 0;
    server.refused = haproxy::Outcome::kDone;
    server.refusal.clear();
  }
  if (event.replaced) {
    proxy.slots.clear();
    pools_changed_ = true;
  }
  all_standings_changed();
}

void Core::take_reply(Instant now, std::size_t number, const haproxy::SessionEvent& event, Outbox& out) {
  Proxy& proxy = proxies_[number];
  switch (event.command) {
    case haproxy::CommandKind::kShowInfo: return;
    case haproxy::CommandKind::kShowBackend: {
      haproxy::BackendReader reader(event.text);
      if (!reader.is_table()) return;
      const std::uint64_t pools_hash = hash64(as_bytes(event.text));
      if (pools_hash == proxy.pools_hash) return;
      proxy.pools_hash = pools_hash;
      pools_changed_ = true;
      proxy.table.begin_pools();
      for (std::string_view name; reader.next(name);) {
        if (const auto pool = haproxy::BackendName::parse(name)) proxy.table.add_pool(*pool);
      }
      return;
    }
    case haproxy::CommandKind::kShowServersState: return take_look(now, number, event.text, out);
    case haproxy::CommandKind::kShowStat: return take_counters(proxy, number, event, out);
    case haproxy::CommandKind::kAddServer:
    case haproxy::CommandKind::kEnableHealth:
    case haproxy::CommandKind::kEnableServer:
    case haproxy::CommandKind::kSetState:
    case haproxy::CommandKind::kSetWeight:
    case haproxy::CommandKind::kSetHealthDown:
    case haproxy::CommandKind::kSetAddress:
    case haproxy::CommandKind::kDelServer: return take_step_reply(now, number, event, out);
  }
}

// ---- the look

void Core::take_look(Instant now, std::size_t number, std::string_view reply, Outbox& out) {
  Proxy& proxy = proxies_[number];
  haproxy::ServerStateReader reader(reply);
  if (!reader.is_table()) return;  // Not looked: the next batch asks again.
  for (std::uint32_t i = 0; i < proxy.table.size(); ++i) proxy.table[i].seen = false;
  for (std::uint32_t i = 0; i < proxy.slots.size(); ++i) proxy.slots[i].seen = false;
  for (haproxy::ServerRow row; reader.next(row);) take_row(now, number, row, out);
  see_slots(now, number, out);
  counts_.malformed_rows += reader.malformed();
  for (std::uint32_t i = 0; i < proxy.table.size(); ++i) {
    if (proxy.table[i].used && !proxy.table[i].seen) take_absence(now, number, i);
  }
  if (!proxy.looked) all_standings_changed();
  proxy.looked = true;
  proxy.compared_at = now;
  proxy.dirty = true;
  proxy.look_at = now + options_.reconcile_interval;
  if (!waits_for_a_check(proxy)) return;
  proxy.look_at = now + proxy.check_poll;
  proxy.check_poll = std::min(proxy.check_poll * 2, options_.reconcile_interval);
}

/// HAProxy's check decides when they come into rotation, and only its table tells that it has.
bool Core::waits_for_a_check(const Proxy& proxy) const {
  if (!options_.check_first) return false;
  for (std::uint32_t i = 0; i < proxy.table.size(); ++i) {
    const Server& server = proxy.table[i];
    const bool is_enabled = server.used && server.observed.present && server.observed.admin == 0;
    if (is_enabled && server.observed.weight > 0 && !server.observed.in_rotation()) return true;
  }
  return false;
}

void Core::take_row(Instant now, std::size_t number, const haproxy::ServerRow& row, Outbox& out) {
  if (row.server.substr(0, options_.registry.server_prefix.size()) != options_.registry.server_prefix.view()) return;
  const auto pool = haproxy::BackendName::parse(row.backend);
  const auto name = haproxy::ServerName::parse(row.server);
  if (!pool || !name) return;
  Proxy& proxy = proxies_[number];
  if (take_slot_row(proxy, *pool, row)) return;
  const std::uint32_t index = proxy.table.find_or_add(*pool, *name);
  if (index == ServerTable::kNone) {
    ++counts_.table_full;
    return;
  }
  see(now, number, index, row, out);
}

/// What HAProxy shows of this server of ours.
void Core::see(Instant now, std::size_t number, std::uint32_t index, const haproxy::ServerRow& row, Outbox& out) {
  Proxy& proxy = proxies_[number];
  Server& server = proxy.table[index];
  if (!is_claimed(server)) {
    const std::uint32_t fact = registry_.find_server(server.name.view());
    server.fact = fact != Registry::kNone && registry_[fact].word.pool == server.pool.view() ? fact : Registry::kNone;
    if (server.fact != Registry::kNone) {
      server.stray_since = kNever;
      server.superseded = false;
    } else if (server.stray_since == kNever) {
      server.stray_since = now;
    }
  }
  const Observed before = server.observed;
  Observed& seen = server.observed;
  server.seen = true;
  if (std::exchange(server.in_doubt, false) && is_claimed(server)) standing_changed(server.fact);
  server.show(row);
  server.was_in_rotation = seen.in_rotation();
  server.was_serving = seen.admin == 0 && seen.weight > 0;
  if (!seen.in_maintenance()) {
    seen.maintenance_since = kNever;
    seen.drained = false;
    seen.delete_refusals = 0;
  } else if (!before.in_maintenance()) {
    seen.maintenance_since = now;
    seen.drained = false;
    seen.delete_refusals = 0;
    server.in_flight = 0;
    proxy.drain_poll_at = now;
  }
  const bool moved = !before.present || before.admin != seen.admin || before.weight != seen.weight;
  if (moved) server.last_step = Step::kNone;
  // Who is to leave and is still in rotation has been refused that.
  const auto is_wanted_there = [&] {
    const Goal goal = wanted_of(now, server).goal;
    return goal == Goal::kInRotation || goal == Goal::kUnverified || goal == Goal::kNone;
  };
  if (server.refused != haproxy::Outcome::kDone && seen.in_rotation() && is_wanted_there()) {
    server.refused = haproxy::Outcome::kDone;
    server.refusal.clear();
    server.refusals = 0;
  }
  if (moved || before.op_state != seen.op_state) note_transition(number, server, before, out);
}

void Core::take_absence(Instant now, std::size_t number, std::uint32_t index) {
  Server& server = proxies_[number].table[index];
  if (std::exchange(server.in_doubt, false) && is_claimed(server)) standing_changed(server.fact);
  if (server.bound() && !options_.dry_run) unbind(now, proxies_[number], server);
  if (server.observed.present) {
    server.observed = Observed{};
    server.in_flight = 0;
    server.last_step = Step::kNone;
    if (is_claimed(server)) standing_changed(server.fact);
  }
  const Wanted goal = wanted_of(now, server);
  // A wanted one stays in the table even while it cannot be added: it holds the reason.
  // One that an old process may have requests for stays too.
  const bool is_wanted = goal.goal == Goal::kInRotation || goal.goal == Goal::kUnverified;
  if (!is_wanted && !keeps_row(now, server, goal) && !server.has_old()) proxies_[number].table.erase(index);
}

void Core::note_transition(std::size_t number, Server& server, const Observed& before, Outbox& out) {
  const Observed& seen = server.observed;
  if (is_claimed(server)) standing_changed(server.fact);
  if (seen.in_rotation() && !before.in_rotation()) log_event(out, EventKind::kServerInRotation, number, &server, {});
  if (seen.is_operators() && !before.is_operators()) {
    log_event(out, EventKind::kServerHeldByOperator, number, &server, {});
  }
  const bool ours_out = seen.in_maintenance() && seen.weight == 0;
  const bool was_serving = before.present && (before.weight > 0 || !before.in_maintenance());
  if (ours_out && was_serving) {
    proxies_[number].drain_poll = options_.drain_poll_min;
    log_event(out, EventKind::kServerOut, number, &server, {});
  }
}

// ---- counters and the answers to steps

void Core::take_counters(Proxy& proxy, std::size_t number, const haproxy::SessionEvent& event, Outbox& out) {
  Server& server = proxy.table[event.tag];
  if (event.outcome != haproxy::Outcome::kDone || !server.used || !server.observed.in_maintenance()) return;
  const haproxy::ServerName name = name_in_haproxy(proxy, server);
  const auto counters = haproxy::parse_counters(event.text, server.pool.view(), name.view());
  if (!counters) return;
  server.in_flight = counters->queued + counters->sessions;
  if (server.in_flight > 0 || server.observed.drained) return;
  server.observed.drained = true;
  proxy.dirty = true;
  proxy.drain_poll = options_.drain_poll_min;
  if (is_claimed(server)) standing_changed(server.fact);
  // Nobody's, and out before we came: another task may have it.
  const bool is_spare = server.bound() && server.fact == Registry::kNone;
  if (is_spare && !options_.dry_run) return take_absence(now_, number, event.tag);
  if (!server.has_old()) log_event(out, EventKind::kServerDrained, number, &server, {});
}

void Core::take_step_reply(Instant now, std::size_t number, const haproxy::SessionEvent& event, Outbox& out) {
  Server& server = proxies_[number].table[event.tag];
  if (!server.used) return;
  switch (event.outcome) {
    case haproxy::Outcome::kDone:
      if (event.command == haproxy::CommandKind::kAddServer) {
        log_event(out, EventKind::kServerAdded, number, &server, {});
      }
      if (event.command == haproxy::CommandKind::kDelServer) {
        log_event(out, EventKind::kServerDeleted, number, &server, {});
      }
      return;
    case haproxy::Outcome::kNoCheck:           // Nothing to enable: it was added with other options.
    case haproxy::Outcome::kAlreadyThere:      // The look that follows shows what is there.
    case haproxy::Outcome::kNoSuchServer:      // Likewise: its add was refused, or it is deleted already.
    case haproxy::Outcome::kNotInMaintenance:  // Likewise.
      return;
    case haproxy::Outcome::kIdTaken:
      ++server.id_attempt;
      server.last_step = Step::kNone;  // Another id is another try: at once.
      return;
    case haproxy::Outcome::kStillUsed:
      ++server.observed.delete_refusals;
      server.retry_at = now + backoff(server, options_.drain_poll_max);
      return;
    case haproxy::Outcome::kFixedWeights:
      if (take_fixed_weights(number, server)) return;
      return refuse(now, number, server, event, out);
    case haproxy::Outcome::kStaticBalance:
      if (take_static_pool(number, server, event, out)) return;
      return refuse(now, number, server, event, out);
    case haproxy::Outcome::kNoSuchBackend:
    case haproxy::Outcome::kPermissionDenied:
    case haproxy::Outcome::kNoSlot:  // Never HAProxy's.
    case haproxy::Outcome::kRefused: return refuse(now, number, server, event, out);
  }
}

void Core::refuse(Instant now, std::size_t number, Server& server, const haproxy::SessionEvent& event, Outbox& out) {
  ++proxies_[number].counts.refused;
  // The first refusal of a batch names the cause; those after it follow from it.
  if (server.refused_in_batch == counts_.batches) return;
  server.refused_in_batch = counts_.batches;
  const haproxy::Traits& traits = proxies_[number].session.traits();
  FixedString<200> printable;
  for (const char c : (traits.dynamic_servers ? event.text : traits.fault).substr(0, 200)) {
    if (!printable.append(std::string_view(c >= ' ' && c <= '~' ? &c : " ", 1))) break;
  }
  std::string_view text = printable.view();
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  refused(now, number, server, event.outcome, FixedString<200>(text), out);
}

void Core::refused(Instant now, std::size_t number, Server& server, haproxy::Outcome why, const FixedString<200>& text,
                   Outbox& out) {
  const FixedString<200> before = std::exchange(server.refusal, text);
  server.refused = why;
  if (server.retry_at == kNever) server.retry_at = now + backoff(server, options_.refusal_backoff_min);
  if (server.refusal == before) return;
  if (is_claimed(server)) standing_changed(server.fact);
  log_event(out, EventKind::kServerRefused, number, &server, server.refusal);
}

}  // namespace shoal::sidecar
