// Who may leave rotation: the look and the floor (floor.h), for each server of each HAProxy.
//
//   not asked --asked, in rotation--> kept --refused, room, or silent too long--> let go
//       ^                              |                                            |
//       +------------------------------+---------- nobody asks any more ------------+
#include <algorithm>
#include <cstdio>
#include <utility>

#include "sidecar/core.h"

namespace shoal::sidecar {
namespace {

constexpr Duration kLookQueueFull = 1s;

bool is_standing(const Server& server) {
  return server.observed.present && server.observed.admin == 0 && server.observed.weight > 0;
}

/// Takes requests now, and is not on its way out. One that HAProxy's own check shows down does not.
bool is_staying(const Server& server) { return server.observed.in_rotation() && server.leaving != Leaving::kLetGo; }

void say_share(char (&text)[160], const PoolShare& others, const PoolShare& share, std::uint32_t least,
               const Look& look) {
  const bool silent = look.silent_since != kNever;
  std::snprintf(text, sizeof text, "%s; without it %u of %u would stay, and haproxy.removal_floor asks for %u%s",
                silent ? "its place does not answer" : "its place answers", silent ? others.staying : others.answering,
                share.whole, least, silent ? "; it leaves after 5 minutes of silence" : "");
}

}  // namespace

/// Where HAProxy sends its requests; its task may have moved since.
Endpoint Core::place_of(const Server& server) const {
  const bool is_to_return = !server.observed.present && is_claimed(server);
  return is_to_return ? registry_[server.fact].place() : server.observed.address;
}

/// What is to be done of `goal`: a server that is asked to leave stays as it is until it may.
Wanted Core::weigh(Instant now, std::size_t number, std::uint32_t index, const Wanted& goal, Outbox& out) {
  Server& server = proxies_[number].table[index];
  if (goal.ask == Ask::kNothing) {
    if (server.leaving != Leaving::kNotAsked) ask_no_more(number, server, out);
    return goal;
  }
  if (server.observed.is_operators()) {
    // Neither taken out nor deleted, whatever became of its member, until that is forgotten; then its mark ends too.
    ask_no_more(number, server, out);
    Wanted left_alone = goal;
    if (!is_forgotten(now, server)) left_alone.goal = Goal::kOut;
    return left_alone;
  }
  if (server.leaving == Leaving::kNotAsked) ask_first(server);
  return server.leaving == Leaving::kKept ? weigh_kept(now, number, index, goal, out)
                                          : weigh_let_go(now, number, index, goal);
}

bool Core::is_kept(const Fact& fact) const {
  return std::any_of(proxies_.begin(), proxies_.end(), [&fact](const Proxy& proxy) {
    const std::uint32_t slot = proxy.table.find(fact.word.pool, fact.server.view());
    return slot != ServerTable::kNone && proxy.table[slot].leaving == Leaving::kKept;
  });
}

void Core::ask_first(Server& server) {
  server.look = Look{};
  const bool stands = server.observed.present ? is_standing(server) : server.was_serving;
  server.leaving = stands ? Leaving::kKept : Leaving::kLetGo;
}

void Core::ask_no_more(std::size_t number, Server& server, Outbox& out) {
  if (std::exchange(server.held, false)) {
    log_event(out, EventKind::kServerHoldEnded, number, &server, "its task is back, or has left by itself");
  }
  server.leaving = Leaving::kNotAsked;
  server.look = Look{};
}

/// Also put back when HAProxy has been replaced, but then only if it is seen to answer.
Wanted Core::kept_as(const Server& server) const {
  Wanted kept;
  if (!is_claimed(server) || (!server.observed.present && !server.look.connected())) return kept;
  kept.goal = Goal::kInRotation;
  kept.weight = registry_[server.fact].word.weight;
  return kept;
}

Wanted Core::weigh_kept(Instant now, std::size_t number, std::uint32_t index, const Wanted& goal, Outbox& out) {
  Proxy& proxy = proxies_[number];
  Server& server = proxy.table[index];
  want_look(now, number, index, kLookAgainHeld);
  if (!proxy.has_shares) count_shares(now, proxy);
  PoolShare& share = proxy.shares[server.pool_number];
  // Pools that were not numbered share one number: none of them has room.
  const bool is_counted = server.pool_number < ServerTable::kPoolsMax;
  const std::uint32_t least = is_counted ? least_staying(share.whole, options_.policy.removal_floor) : UINT32_MAX;
  const PoolShare others = without(proxy, server);
  const Ruling ruling = rule(now, goal.ask, server.look, others, least);
  char why[160] = {};
  switch (ruling) {
    case Ruling::kWait: return kept_as(server);
    case Ruling::kHold:
      if (goal.ask == Ask::kFloor && !std::exchange(server.held, true)) {
        ++counts_.holds;
        say_share(why, others, share, least, server.look);
        log_event(out, EventKind::kServerHeld, number, &server, why);
        if (is_claimed(server)) standing_changed(server.fact);
      }
      return kept_as(server);
    case Ruling::kLeaves:
    case Ruling::kGivenUp: break;
  }
  share.staying = others.staying;
  share.answering = others.answering;
  server.leaving = Leaving::kLetGo;
  if (std::exchange(server.held, false)) {
    const std::string_view text = server.look.refused()        ? "its place refuses connections"
                                  : ruling == Ruling::kGivenUp ? "its place has been silent for 5 minutes"
                                                               : "enough of the pool stays without it";
    log_event(out, EventKind::kServerHoldEnded, number, &server, text);
  }
  return weigh_let_go(now, number, index, goal);
}

/// Out of rotation. It is deleted once its place is seen not to answer; one that answers serves others still, or has
/// been cut off from us alone, and stays ready to return.
Wanted Core::weigh_let_go(Instant now, std::size_t number, std::uint32_t index, const Wanted& goal) {
  Proxy& proxy = proxies_[number];
  Server& server = proxy.table[index];
  if (goal.goal != Goal::kAbsent || !server.observed.present || server.look.refused()) {
    if (server.observed.present && !server.look.refused()) want_look(now, number, index, kLookAgainOut);
    return goal;
  }
  want_look(now, number, index, kLookAgainOut);
  Wanted out_only = goal;
  out_only.goal = Goal::kOut;
  if (!server.look.is_fresh(now)) return out_only;
  if (!server.look.connected()) return goal;
  if (!is_forgotten(now, server)) return out_only;
  // Somebody else's place by now, most likely; unless we are the ones who are cut off.
  if (!proxy.has_shares) count_shares(now, proxy);
  const PoolShare& share = proxy.shares[server.pool_number];
  return share.alive >= least_staying(share.whole, options_.policy.removal_floor) ? goal : out_only;
}

bool Core::is_forgotten(Instant now, const Server& server) const {
  if (is_claimed(server)) return registry_[server.fact].status == MemberStatus::kReaped;
  return server.stray_since != kNever && now >= server.stray_since + options_.policy.forget_after;
}

// ---- the pool

/// Not in HAProxy any more, or in maintenance, because its member was called gone; its pool is not smaller by that.
bool Core::counts_as_missing(Instant now, const Server& server, const Wanted& goal) const {
  if (goal.ask == Ask::kNothing || server.look.refused() || server.leaving != Leaving::kLetGo) return false;
  if (server.observed.present || is_claimed(server)) return true;
  return server.fact == Registry::kNone && !is_forgotten(now, server);
}

/// Whether the table remembers a server that HAProxy does not have, although it is not wanted.
bool Core::keeps_row(Instant now, const Server& server, const Wanted& goal) const {
  if (goal.ask == Ask::kNothing) return false;
  const bool is_to_return = server.leaving == Leaving::kKept ||
                            (server.leaving == Leaving::kNotAsked && server.was_serving && is_claimed(server));
  return is_to_return || counts_as_missing(now, server, goal);
}

void Core::count_shares(Instant now, Proxy& proxy) {
  for (PoolShare& share : proxy.shares) share = PoolShare{};
  for (std::uint32_t i = 0; i < proxy.table.size(); ++i) {
    const Server& server = proxy.table[i];
    if (!server.used || server.observed.is_operators()) continue;
    const Wanted goal = wanted_of(now, server);
    PoolShare& share = proxy.shares[server.pool_number];
    if (goal.ask == Ask::kNothing) {
      // A server that is going for another reason is no part of the pool any more.
      const bool is_going = goal.goal == Goal::kOut || goal.goal == Goal::kDrain || goal.goal == Goal::kAbsent;
      if (is_going || !is_standing(server)) continue;
      ++share.whole;
      share.alive += server.observed.in_rotation() ? 1 : 0;
    } else {
      const bool is_let_go = server.leaving == Leaving::kLetGo;
      if (is_let_go ? !counts_as_missing(now, server, goal) : server.look.refused()) continue;
      if (!is_let_go && !server.observed.present && !server.was_serving) continue;
      ++share.whole;
    }
    if (!is_staying(server)) continue;
    ++share.staying;
    share.answering += goal.ask == Ask::kNothing || server.look.connected() ? 1 : 0;
  }
  proxy.has_shares = true;
}

/// REQUIRES: the server is asked to leave, and kept.
PoolShare Core::without(const Proxy& proxy, const Server& server) const {
  PoolShare others = proxy.shares[server.pool_number];
  if (server.look.refused() || !is_staying(server)) return others;
  if (others.staying > 0) --others.staying;
  if (others.answering > 0 && server.look.connected()) --others.answering;
  return others;
}

// ---- the looks

void Core::want_look(Instant now, std::size_t number, std::uint32_t index, Duration every) {
  Proxy& proxy = proxies_[number];
  Look& look = proxy.table[index].look;
  if (look.state != Look::State::kIdle) return;  // Its result wakes the plan.
  if (look.answered && now < look.at + every) {
    proxy.plan_at = earlier(proxy.plan_at, look.at + every);
    return;
  }
  looks_.want(look, {static_cast<std::uint32_t>(number), index});
  if (look.state == Look::State::kIdle) proxy.plan_at = earlier(proxy.plan_at, now + kLookQueueFull);
}

void Core::start_looks(Instant now, Outbox& out) {
  ServerRef ref;
  while (looks_.has_room(out.verifies) && looks_.next(ref)) {
    Proxy& proxy = proxies_[ref.proxy];
    Server& server = proxy.table[ref.server];
    if (!server.used || server.look.state != Look::State::kQueued) continue;  // Outdated.
    const Endpoint place = place_of(server);
    if (place.port == 0 || place.addr.empty()) {  // HAProxy itself has no address to send requests to.
      server.look.take(now, VerifyResult::kRefused);
      proxy.dirty = true;
      continue;
    }
    ++counts_.looks;
    looks_.start(now, server.look, ref, place, out.verifies);
    // The same server of another HAProxy takes part in this one.
    for (Proxy& other : proxies_) {
      const std::uint32_t twin = other.table.find(server.pool.view(), server.name.view());
      if (twin == ServerTable::kNone || &other == &proxy) continue;
      Server& same = other.table[twin];
      if (same.look.state != Look::State::kQueued || !same_place(place_of(same), place)) continue;
      same.look.state = Look::State::kTrying;
      same.look.try_id = server.look.try_id;
    }
  }
}

void Core::take_look_result(Instant now, std::uint32_t id, VerifyResult result) {
  ServerRef ref;
  if (!looks_.take(id, ref)) return;
  const Server& asked = proxies_[ref.proxy].table[ref.server];
  if (!asked.used) return;
  for (Proxy& proxy : proxies_) {
    const std::uint32_t index = proxy.table.find(asked.pool.view(), asked.name.view());
    if (index == ServerTable::kNone) continue;
    Look& look = proxy.table[index].look;
    if (look.state != Look::State::kTrying || look.try_id != id) continue;  // Of an earlier absence.
    // Where nobody claims it any more, or its task has moved away, somebody else may be by now.
    const Server& server = proxy.table[index];
    const bool is_at_home = is_claimed(server) && same_place(server.observed.address, registry_[server.fact].place());
    const bool is_anothers = result == VerifyResult::kConnected && !is_at_home && server.observed.present &&
                             registry_.is_taken(server.observed.address);
    look.take(now, is_anothers ? VerifyResult::kRefused : result);
    proxy.dirty = true;
  }
}

}  // namespace shoal::sidecar
