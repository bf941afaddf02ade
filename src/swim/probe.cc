// One probe cycle (gossip-protocol facts 3.1): ping, then ask others and try TCP, then suspect. Round robin over a
// shuffled list, so that every member is looked at once in 2n - 1 intervals at the latest.
#include "swim/core.h"

namespace shoal::swim {

void Core::probe_tick() {
  deadline(Timer::kProbe) = now_ + options_.timing.probe_interval;
  if (leave_.phase == Leave::Phase::kDone) return;
  if (probe_.phase != Probe::Phase::kIdle) {
    probe_.tick_pending = true;
    return;
  }
  probe_next();
}

void Core::probe_next() {
  const Slot target = next_target();
  if (target != kNoSlot) start_probe(target);
}

Slot Core::next_target() {
  for (std::size_t skipped = 0; skipped <= members_.size();) {
    if (probe_at_ >= members_.size()) {
      reap();
      members_.shuffle(rng_);
      probe_at_ = 0;
      if (++skipped > members_.size()) break;
      continue;
    }
    const Slot slot = members_.slots()[probe_at_++];
    if (slot != self_ && !members_[slot].gone()) return slot;
    ++skipped;
  }
  return kNoSlot;
}

void Core::reap() {
  for (std::size_t i = 0; i < members_.size();) {
    const Slot slot = members_.slots()[i];
    const Record& record = members_[slot];
    if (slot != self_ && record.gone() && now_ - record.state_change > options_.timing.gossip_to_the_dead) {
      members_.erase(slot);  // Puts another one into place i.
    } else {
      ++i;
    }
  }
}

Slot Core::probed() const { return probe_.phase == Probe::Phase::kIdle ? kNoSlot : members_.find(probe_.node.view()); }

void Core::start_probe(Slot target) {
  const Record& record = members_[target];
  ++counters_.probes;
  probe_.phase = Probe::Phase::kDirect;
  SHOAL_ASSERT(probe_.node.assign(record.name));
  probe_.seq_no = ++seq_no_;
  probe_.sent = now_;
  probe_.end = now_ + awareness_.scale(options_.timing.probe_interval);
  probe_.nacks_expected = 0;
  probe_.nacks_received = 0;
  probe_.tcp_acked = false;
  probe_.tick_pending = false;
  deadline(Timer::kProbeTimeout) = now_ + options_.timing.probe_timeout;
  deadline(Timer::kProbeEnd) = probe_.end;

  std::array<std::uint8_t, 768> memory;
  ByteWriter writer(memory);
  wire::encode(writer, wire::Ping{probe_.seq_no, record.name.view(), options_.advertise.addr.raw(),
                                  options_.advertise.port, options_.name.view()});
  SHOAL_ASSERT(writer.ok());
  if (record.state != State::kSuspect || !options_.buddy)
    return send_with_piggyback(record.endpoint(), writer.written());

  // A suspect hears of it in the same datagram, so that it can refute at once (Lifeguard's buddy system).
  std::array<std::uint8_t, 768> suspect_memory;
  ByteWriter suspect(suspect_memory);
  wire::encode(suspect, wire::Suspect{record.incarnation, record.name.view(), options_.name.view()});
  sealer_.begin(security_);
  SHOAL_ASSERT(sealer_.add(writer.written()) && sealer_.add(suspect.written()));
  send_sealed(record.endpoint(), record.versions()[1] >= 5);
}

void Core::probe_indirectly() {
  deadline(Timer::kProbeTimeout) = kNever;
  const Slot target = probed();
  if (target == kNoSlot) return;  // Forgotten meanwhile; the end of the probe clears up.
  probe_.phase = Probe::Phase::kIndirect;
  const Record& record = members_[target];

  draw_slots(members_.slots(), options_.timing.indirect_checks, rng_, picks_, [this, target](Slot slot) {
    return slot != self_ && slot != target && members_[slot].state == State::kAlive;
  });
  for (const Slot helper : picks_) {
    const bool nack = members_[helper].versions()[1] >= 4;
    if (nack) ++probe_.nacks_expected;
    std::array<std::uint8_t, 768> memory;
    ByteWriter writer(memory);
    wire::encode(
        writer, wire::IndirectPing{probe_.seq_no, record.profile.address(), record.profile.port(), record.name.view(),
                                   nack, options_.advertise.addr.raw(), options_.advertise.port, options_.name.view()});
    SHOAL_ASSERT(writer.ok());
    send_with_piggyback(members_[helper].endpoint(), writer.written());
  }
  if (record.versions()[1] >= 3) start_tcp_ping(record.endpoint(), record.name.view());
}

void Core::end_probe(bool acked) {
  const Slot target = probed();
  const bool tick_pending = probe_.tick_pending;
  deadline(Timer::kProbeTimeout) = kNever;
  deadline(Timer::kProbeEnd) = kNever;
  probe_.phase = Probe::Phase::kIdle;
  if (acked || probe_.tcp_acked) {
    awareness_.apply(-1);
    if (!acked && target != kNoSlot) upper_.on_datagrams_blocked(members_[target]);
  } else if (target != kNoSlot && !leaving()) {
    ++counters_.probes_failed;
    const int missed = static_cast<int>(probe_.nacks_expected) - static_cast<int>(probe_.nacks_received);
    awareness_.apply(probe_.nacks_expected == 0 ? 1 : missed > 0 ? missed : 0);
    const NodeName node = probe_.node;
    apply_suspect(wire::Suspect{members_[target].incarnation, node.view(), options_.name.view()});
  }
  if (tick_pending) {
    probe_.tick_pending = false;
    probe_next();
  }
}

}  // namespace shoal::swim
