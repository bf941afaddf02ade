// Old processes of HAProxy: which servers may still have requests there, and who of them is asked about.
#include <algorithm>

#include "sidecar/core.h"

namespace shoal::sidecar {
namespace {

constexpr Duration kLookAgain = 250ms;  // A stray's time comes without an event.

}  // namespace

/// What the process until now has of ours goes on in slot `slot`, but for what is known to be drained there.
void Core::take_retired(std::size_t number, const haproxy::SessionEvent& event, Outbox& out) {
  Proxy& proxy = proxies_[number];
  for (std::uint32_t i = 0; i < proxy.table.size(); ++i) {
    Server& server = proxy.table[i];
    if (!server.used) continue;
    OldPlace& place = server.old[event.slot];
    place = OldPlace{};
    const bool is_drained = server.observed.in_maintenance() && server.observed.drained;
    if ((!server.observed.present && !server.in_doubt) || is_drained) continue;
    place.id = server.id != 0 ? server.id : server.wished_id();
    if (server.bound()) place.slot_number = proxy.slots[server.slot].number;
    place.state = OldPlace::State::kThere;
    if (is_claimed(server)) standing_changed(server.fact);
  }
  proxy.old_at = Instant{};
  log_event(out, EventKind::kOldProcess, number, nullptr, event.text);
}

void Core::take_old_count(std::size_t number, const haproxy::SessionEvent& event, Outbox& out) {
  Proxy& proxy = proxies_[number];
  Server& server = proxy.table[event.tag];
  OldPlace& place = server.old[event.slot];
  if (!server.used || place.state != OldPlace::State::kWatched) return;
  place.in_flight = static_cast<std::uint16_t>(std::min<std::uint64_t>(event.in_flight, 0xffff));
  if (is_claimed(server)) standing_changed(server.fact);
  if (event.in_flight > 0) return;
  place = OldPlace{};
  proxy.old_at = Instant{};  // There may be room for another one.
  old_place_ended(number, server, out);
}

void Core::take_old_gone(std::size_t number, const haproxy::SessionEvent& event, Outbox& out) {
  Proxy& proxy = proxies_[number];
  for (std::uint32_t i = 0; i < proxy.table.size(); ++i) {
    Server& server = proxy.table[i];
    if (!server.used || server.old[event.slot].state == OldPlace::State::kNone) continue;
    const bool was_watched = server.old[event.slot].state == OldPlace::State::kWatched;
    server.old[event.slot] = OldPlace{};
    if (is_claimed(server)) standing_changed(server.fact);
    if (was_watched) old_place_ended(number, server, out);
  }
  log_event(out, event.finished ? EventKind::kOldProcessEnded : EventKind::kOldProcessGivenUp, number, nullptr,
            event.text);
}

void Core::old_place_ended(std::size_t number, const Server& server, Outbox& out) {
  const Observed& seen = server.observed;
  if (server.has_old() || (seen.present && !seen.drained)) return;
  log_event(out, EventKind::kServerDrained, number, &server, {});
}

/// Servers that go are asked about in every old process that may have requests for them.
void Core::watch_old(Instant now, Proxy& proxy) {
  if (!proxy.session.has_old() || now < proxy.old_at) return;
  proxy.old_at = now + kLookAgain;
  for (std::uint32_t i = 0; i < proxy.table.size(); ++i) {
    Server& server = proxy.table[i];
    if (!server.used || !server.has_old()) continue;
    const Goal goal = wanted_of(now, server).goal;
    if (goal != Goal::kOut && goal != Goal::kAbsent) continue;
    for (std::size_t slot = 0; slot < server.old.size(); ++slot) {
      OldPlace& place = server.old[slot];
      if (place.state != OldPlace::State::kThere) continue;
      const bool is_slot = place.slot_number != OldPlace::kNoSlot;
      const haproxy::ServerName name = is_slot ? name_of_slot(place.slot_number) : server.name;
      if (proxy.session.watch_old(now, slot, server.pool, name, place.id, i)) {
        place.state = OldPlace::State::kWatched;
      }
    }
  }
}

}  // namespace shoal::sidecar
