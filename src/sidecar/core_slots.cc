// Servers that stand in slots: which slot is whose, who gets a free one, when it is free again.
//
// A row of the table has a slot from the moment its address is to be written. From then on what HAProxy shows of the
// slot is what the row has, and everything else goes as with a server of its own.
#include <cstdio>
#include <utility>

#include "sidecar/core.h"

namespace shoal::sidecar {
namespace {

/// Nobody's: no task claims what stands there.
bool is_stray(const Server& server) { return server.fact == Registry::kNone; }

}  // namespace

haproxy::ServerName Core::name_of_slot(std::uint32_t number) const {
  char digits[12];
  std::snprintf(digits, sizeof digits, "%u", static_cast<unsigned>(number));
  FixedString<128> text;
  SHOAL_ASSERT(text.append(options_.registry.server_prefix) && text.append(digits));
  return *haproxy::ServerName::parse(text);
}

/// What HAProxy calls it.
haproxy::ServerName Core::name_in_haproxy(const Proxy& proxy, const Server& server) const {
  return !server.bound() ? server.name : name_of_slot(proxy.slots[server.slot].number);
}

bool Core::uses_slots(const Proxy& proxy, std::uint32_t pool_number) const {
  const PoolNote& note = proxy.slots.pool(pool_number);
  switch (options_.method) {
    case Method::kAuto: return note.slots > 0 && (note.no_dynamic || !proxy.session.traits().dynamic_servers);
    case Method::kDynamic: return false;
    case Method::kSlots: return true;
  }
  SHOAL_UNREACHABLE();
}

// ---- the look

/// True when the row is a slot's.
bool Core::take_slot_row(Proxy& proxy, const haproxy::BackendName& pool, const haproxy::ServerRow& row) {
  const auto number = slot_number(row.server, options_.registry.server_prefix.view());
  if (!number) return false;
  const std::uint32_t pool_number = proxy.table.number_of(pool);
  const std::uint32_t index =
      pool_number < ServerTable::kPoolsMax ? proxy.slots.find_or_add(pool_number, *number) : SlotTable::kNone;
  if (index == SlotTable::kNone) {
    ++counts_.table_full;
    return true;
  }
  Slot& slot = proxy.slots[index];
  slot.seen = true;
  slot.row = row;
  slot.row.backend = slot.row.server = {};  // Views into the reply.
  slot.row.admin &= ~haproxy::kAdminConfigured;
  if (slot.is_fresh()) slot.is_clean = true;
  if (!slot.in_maintenance()) slot.is_clean = false;
  return true;
}

/// After all rows have been read: what each slot that is not free says of its server.
void Core::see_slots(Instant now, std::size_t number, Outbox& out) {
  Proxy& proxy = proxies_[number];
  if (proxy.slots.count()) pools_changed_ = true;
  for (std::uint32_t i = 0; i < proxy.slots.size(); ++i) {
    Slot& slot = proxy.slots[i];
    if (!slot.seen) continue;
    if (slot.server != Slot::kNone) {
      Server& server = proxy.table[slot.server];
      const bool has_address = is_claimed(server) && same_place(slot.row.address, registry_[server.fact].place());
      // The address was not written: the batch broke off, or it was refused.
      if (!server.observed.present && slot.in_maintenance() && !has_address) {
        if (!options_.dry_run) unbind(now, proxy, server);
        continue;
      }
    }
    if (slot.server == Slot::kNone || is_stray(proxy.table[slot.server])) {
      const std::uint32_t row = row_of(proxy, slot);
      if (row != ServerTable::kNone) bind(proxy, i, row);
    }
    if (slot.server != Slot::kNone) see(now, number, slot.server, slot.row, out);
  }
}

/// The row that a slot without one, or with a stray's, belongs to by its address; kNone: it is free. One in maintenance
/// of which it is not known whether requests are in flight gets a row too, until that is known.
std::uint32_t Core::row_of(Proxy& proxy, const Slot& slot) {
  if (slot.is_free() && (slot.row.weight == 0 || slot.is_fresh())) return ServerTable::kNone;
  const haproxy::BackendName& pool = proxy.table.pool_name(slot.pool);
  const std::uint32_t fact = registry_.find_place(pool.view(), slot.row.address);
  if (fact != Registry::kNone) {
    const std::uint32_t row = proxy.table.find_or_add(pool, registry_[fact].server);
    const bool has_another =
        row != ServerTable::kNone && (proxy.table[row].observed.present || proxy.table[row].bound());
    if (!has_another) return row;
  }
  if (slot.is_free()) return ServerTable::kNone;
  return slot.server != Slot::kNone ? slot.server : proxy.table.find_or_add(pool, name_of_slot(slot.number));
}

// ---- who has which

/// What a stray had in the slot goes over to its new row.
void Core::bind(Proxy& proxy, std::uint32_t index, std::uint32_t row) {
  Slot& slot = proxy.slots[index];
  const std::uint32_t before = std::exchange(slot.server, row);
  Server& server = proxy.table[row];
  server.slot = index;
  server.id = slot.row.id;
  if (before == Slot::kNone || before == row) return;
  const Server& stray = proxy.table[before];
  server.observed = stray.observed;
  server.was_in_rotation = stray.was_in_rotation;
  server.was_serving = stray.was_serving;
  server.in_flight = stray.in_flight;
  server.old = stray.old;
  proxy.table.erase(before);
}

void Core::unbind(Instant now, Proxy& proxy, Server& server) {
  Slot& slot = proxy.slots[server.slot];
  const bool is_drained = server.observed.in_maintenance() && server.observed.drained;
  slot.is_clean = slot.is_fresh() || is_drained || (slot.is_clean && !server.observed.present);
  proxy.slots.free(std::exchange(server.slot, Slot::kNone), now);
  if (!std::exchange(proxy.slots.pool(server.pool_number).someone_waits, false)) return;
  for (std::uint32_t i = 0; i < proxy.table.size(); ++i) {
    Server& waiting = proxy.table[i];
    if (!waiting.used || waiting.pool_number != server.pool_number) continue;
    if (waiting.refused == haproxy::Outcome::kNoSlot) waiting.retry_at = kNever;
  }
  proxy.dirty = true;
}

/// The slot that has the fact's place and is nobody's: a stray's until now, an operator's mark, one of which it is not
/// known whether it has requests, or that of an earlier start, or of a task whose place the fact has taken.
std::uint32_t Core::find_orphan(const Proxy& proxy, std::uint32_t fact) const {
  const std::uint32_t pool_number = proxy.table.find_number(registry_[fact].word.pool);
  if (proxy.slots.pool(pool_number).slots == 0) return SlotTable::kNone;
  const Endpoint place = registry_[fact].place();
  const auto is_nobodys = [&](const Server& server) {
    return is_stray(server) || registry_[server.fact].shadowed || (server.fact == fact && !is_claimed(server));
  };
  for (std::uint32_t i = 0; i < proxy.slots.size(); ++i) {
    const Slot& slot = proxy.slots[i];
    if (!slot.seen || slot.pool != pool_number || !same_place(slot.row.address, place)) continue;
    const bool is_orphan =
        slot.server == Slot::kNone ? !slot.is_free() || slot.row.weight > 0 : is_nobodys(proxy.table[slot.server]);
    if (is_orphan) return i;
  }
  return SlotTable::kNone;
}

/// A slot's row that stands for nothing any more but requests in an old process, at the fact's place.
std::uint32_t Core::find_old_stray(const Proxy& proxy, std::uint32_t fact) const {
  if (!proxy.session.has_old()) return ServerTable::kNone;
  const Fact& of = registry_[fact];
  for (std::uint32_t i = 0; i < proxy.table.size(); ++i) {
    const Server& server = proxy.table[i];
    if (!server.used || !is_stray(server) || server.observed.present || !server.has_old()) continue;
    if (!slot_number(server.name.view(), options_.registry.server_prefix.view())) continue;
    if (server.pool == of.word.pool.view() && same_place(server.old_place, of.place())) return i;
  }
  return ServerTable::kNone;
}

void Core::take_over_old(Proxy& proxy, std::uint32_t stray, std::uint32_t row) {
  Server& server = proxy.table[row];
  server.old = proxy.table[stray].old;
  for (OldPlace& place : server.old) {
    if (place.state == OldPlace::State::kWatched) place.state = OldPlace::State::kThere;  // Asked for the stray.
  }
  proxy.table.erase(stray);
}

/// A task's row without a server, and a slot that stands for it already.
void Core::adopt_slot(Instant now, Proxy& proxy, std::uint32_t index, std::uint32_t row) {
  bind(proxy, index, row);
  Server& server = proxy.table[row];
  Observed& seen = server.observed;
  const bool was_in_maintenance = seen.in_maintenance();
  server.show(proxy.slots[index].row);
  if (seen.in_maintenance() && !was_in_maintenance) {
    seen.maintenance_since = now;
    proxy.drain_poll_at = now;
  }
  proxy.dirty = true;
}

/// Before its address is written. False when there is none: then the row is refused, and tried again.
bool Core::find_slot(Instant now, std::size_t number, std::uint32_t row, Outbox& out) {
  Proxy& proxy = proxies_[number];
  Server& server = proxy.table[row];
  if (server.bound()) return true;
  if (server.retry_at != kNever && now < server.retry_at) return false;
  const std::uint32_t index = proxy.slots.find_free(server.pool_number, registry_[server.fact].place());
  if (index != SlotTable::kNone) {
    bind(proxy, index, row);
    return true;
  }
  PoolNote& note = proxy.slots.pool(server.pool_number);
  note.someone_waits = true;
  for (std::uint32_t i = 0; i < proxy.slots.size(); ++i) {
    const Slot& slot = proxy.slots[i];
    const bool is_spare = slot.server != Slot::kNone && slot.in_maintenance() && is_stray(proxy.table[slot.server]);
    if (is_spare && slot.pool == server.pool_number) return false;  // It is being asked whether it is clean.
  }
  char text[200];
  const int pool_size = static_cast<int>(server.pool.view().size());
  if (note.slots > 0) {
    std::snprintf(text, sizeof text,
                  "all %u slots of the backend `%.*s` are taken; give its server-template more, and reload HAProxy",
                  static_cast<unsigned>(note.slots), pool_size, server.pool.view().data());
  } else {
    std::snprintf(text, sizeof text,
                  "the backend `%.*s` has no slots for haproxy.method = \"slots\"; add `server-template %.*s 1-50 "
                  "127.0.0.1:1 disabled` to it",
                  pool_size, server.pool.view().data(), static_cast<int>(options_.registry.server_prefix.size()),
                  options_.registry.server_prefix.view().data());
  }
  server.retry_at = kNever;
  refused(now, number, server, haproxy::Outcome::kNoSlot, FixedString<200>(text), out);
  return false;
}

/// In place of a delete: the slot stays in maintenance with weight 0, and the next task may have it.
void Core::free_slot(Instant now, std::size_t number, std::uint32_t row, Outbox& out) {
  log_event(out, EventKind::kSlotFreed, number, &proxies_[number].table[row], {});
  take_absence(now, number, row);
}

// ---- pools with a static algorithm

/// True when HAProxy's refusal of `add server` is no matter, since the pool has slots.
bool Core::take_static_pool(std::size_t number, Server& server, const haproxy::SessionEvent& event, Outbox& out) {
  if (server.pool_number >= ServerTable::kPoolsMax) return false;
  Proxy& proxy = proxies_[number];
  PoolNote& note = proxy.slots.pool(server.pool_number);
  if (!std::exchange(note.no_dynamic, true)) pools_changed_ = true;
  if (!uses_slots(proxy, server.pool_number)) return false;
  if (!std::exchange(note.fixed_weights, true)) note.fixed_batch = counts_.batches;
  server.last_step = Step::kNone;
  server.retry_at = kNever;
  proxy.dirty = true;
  if (!std::exchange(note.told, true)) log_event(out, EventKind::kPoolBySlots, number, &server, event.text);
  return true;
}

/// True when the weight was sent before that was known: the next try is made with the one that the pool takes.
bool Core::take_fixed_weights(std::size_t number, Server& server) {
  if (!server.bound()) return false;
  PoolNote& note = proxies_[number].slots.pool(server.pool_number);
  if (!std::exchange(note.fixed_weights, true)) note.fixed_batch = counts_.batches;
  if (server.step_batch > note.fixed_batch) return false;
  server.last_step = Step::kNone;
  server.retry_at = kNever;
  return true;
}

/// A static algorithm has one weight for each server, the configured one.
void Core::fit_weight(const Proxy& proxy, const Server& server, Wanted& goal) const {
  if (!server.bound() || goal.weight == 0) return;
  const std::uint32_t configured = proxy.slots[server.slot].row.configured_weight;
  if (!proxy.slots.pool(server.pool_number).fixed_weights || configured == 0) return;
  goal.weight = static_cast<std::uint16_t>(configured);
}

}  // namespace shoal::sidecar
