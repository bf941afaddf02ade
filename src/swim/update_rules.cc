// What an alive, suspect or dead message does to the table: gossip-protocol facts 2.2, 2.3 and 2.4, in their order.
#include <algorithm>

#include "base/hash.h"
#include "swim/core.h"

namespace shoal::swim {
namespace {

std::uint64_t key_of(std::string_view name) { return hash64(as_bytes(name), 1); }
// By address as memberlist does, so that it neither displaces nor is displaced by news under our name.
std::uint64_t key_of_refutation(const Endpoint& self) { return hash64(self.addr.raw(), 3); }
std::uint64_t accuser_of(std::string_view name) { return hash64(as_bytes(name), 2); }

void encode_alive(ByteWriter& out, const Record& record) {
  const Versions versions = record.versions();
  wire::encode(out, wire::Alive{record.incarnation, record.name.view(), record.profile.address(), record.profile.port(),
                                record.meta(), versions});
}

}  // namespace

bool Core::allowed(const IpAddress& address) const {
  if (options_.allow.empty()) return true;
  for (const Cidr& range : options_.allow) {
    if (range.contains(address)) return true;
  }
  return false;
}

void Core::broadcast_alive(const Record& record, std::uint64_t key) {
  std::array<std::uint8_t, BroadcastQueue::kMessageBytesMax> memory;
  ByteWriter writer(memory);
  encode_alive(writer, record);
  SHOAL_ASSERT(writer.ok());
  queue_.push(writer.written(), key);
}

void Core::send_alive(const Endpoint& to, const Record& record) {
  std::array<std::uint8_t, BroadcastQueue::kMessageBytesMax> memory;
  ByteWriter writer(memory);
  encode_alive(writer, record);
  sealer_.begin(security_);
  if (writer.ok() && sealer_.add(writer.written())) send_sealed(to, false);
}

void Core::announce_self() {
  if (incarnation_ == kIncarnationMax) return upper_.on_incarnations_spent();
  const Record& self = members_[self_];
  const Text name = self.name;
  const Profile profile = self.profile;  // Held: what is said may take its place.
  apply_alive(AliveNews{.message = {++incarnation_, name.view(), options_.advertise.addr.raw(), options_.advertise.port,
                                    profile.meta(), options_.versions},
                        .from_datagram = false,
                        .local = true});
}

void Core::forget_own_news() {
  queue_.drop(key_of(options_.name.view()));
  queue_.drop(key_of_refutation(options_.advertise));
}

void Core::refute(std::uint32_t accused) {
  if (accused == kIncarnationMax || incarnation_ == kIncarnationMax) return upper_.on_incarnations_spent();
  if (accused >= ++incarnation_) incarnation_ = accused + 1;
  Record& self = members_[self_];
  self.incarnation = incarnation_;
  awareness_.apply(+1);
  ++counters_.refutes;
  broadcast_alive(self, key_of_refutation(options_.advertise));
}

void Core::unsuspect(Slot slot) {
  if (members_[slot].state == State::kSuspect) suspects_.end(slot);
}

void Core::apply_alive(const AliveNews& news) {
  const wire::Alive& a = news.message;
  if (a.node.size() > kNameBytesMax || a.node.empty()) return refuse(Refusal::kNameTooLong);
  if (a.meta.size() > kMetaBytesMax) return refuse(Refusal::kMetaTooLong);
  const auto addr = IpAddress::from_raw(a.addr);
  if (!addr) return refuse(Refusal::kBadAddress);
  const Endpoint endpoint{*addr, a.port != 0 ? a.port : options_.advertise.port};
  // Without all six numbers a record would poison the push/pulls of every Go peer it is forwarded to (trap 8, 9).
  Versions versions{};
  if (a.vsn.size() < versions.size()) return refuse(Refusal::kBadVersions);
  std::copy_n(a.vsn.begin(), versions.size(), versions.begin());
  if (!compatible(versions)) return refuse(Refusal::kBadVersions);
  if (!news.local && (!allowed(*addr) || (news.from_datagram && !allowed(sender_.addr)))) {
    return refuse(Refusal::kNotAllowed);
  }

  Slot slot = members_.find(a.node);
  const bool about_me = slot != kNoSlot && slot == self_;
  if (about_me && leaving()) return;
  if (slot == kNoSlot) {
    slot = members_.insert(a.node, rng_, self_);
    if (slot == kNoSlot) return refuse(Refusal::kTableFull);
    members_[slot].profile = Profile(texts_, endpoint, versions, a.meta);
    members_[slot].state_change = now_;
  }
  Record& record = members_[slot];
  bool moved = false;
  if (record.endpoint() != endpoint) {
    // Only a name that has left may come back from elsewhere (DeadNodeReclaimTime is 0).
    if (record.state != State::kLeft || about_me) {
      refuse(Refusal::kConflict);
      return upper_.on_name_conflict(record, endpoint, in_join_answer_);
    }
    moved = true;
  }
  if (!about_me && !moved && a.incarnation <= record.incarnation) return;
  if (about_me && a.incarnation < record.incarnation) return;
  unsuspect(slot);

  if (about_me && !news.local) {
    const bool same =
        a.incarnation == record.incarnation && same_bytes(a.meta, record.meta()) && versions == record.versions();
    if (!same) refute(a.incarnation);
    return;
  }
  const State before = record.state;
  const bool meta_changed = !same_bytes(a.meta, record.meta());
  if (meta_changed || moved || versions != record.versions()) {
    record.profile = Profile(texts_, endpoint, versions, a.meta);
  }
  record.incarnation = a.incarnation;
  if (record.state != State::kAlive) {
    record.state = State::kAlive;
    record.state_change = now_;
  }
  broadcast_alive(record, key_of(a.node));
  if (before == State::kDead || before == State::kLeft) {
    upper_.on_member_join(record);
  } else if (meta_changed || (news.local && before == State::kAlive)) {
    upper_.on_member_update(record);
  }
}

void Core::apply_suspect(const wire::Suspect& s) {
  const Slot slot = members_.find(s.node);
  if (slot == kNoSlot) return;
  Record& record = members_[slot];
  if (s.incarnation < record.incarnation) {
    // We have refuted that already, and whoever says it has not heard. memberlist leaves it at that, and the member is
    // failed where gossip happened to miss (seen in simulation: the accuser pings us, is answered, and buries us).
    // Told to its face: gossip picks anybody, and nobody passes on what he knows.
    if (slot == self_ && !leaving() && in_datagram_ && may_answer()) send_alive(sender_, record);
    return;
  }

  std::array<std::uint8_t, 2 * kNameBytesMax + 128> memory;
  ByteWriter writer(memory);
  wire::encode(writer, s);
  if (record.state == State::kSuspect && s.incarnation > record.incarnation) {
    // It has refuted what we suspect it of and we have not heard; now somebody suspects it anew. memberlist takes that
    // for a confirmation of the old suspicion, which may end it at once (seen in simulation: failed 80 ms after the new
    // accusation). Here it begins anew.
    unsuspect(slot);
  } else if (record.state == State::kSuspect) {
    if (suspects_[slot].confirm(accuser_of(s.from)) && writer.ok()) queue_.push(writer.written(), key_of(s.node));
    return;
  } else if (record.state != State::kAlive) {
    return;
  }
  if (slot == self_) {
    if (!leaving()) refute(s.incarnation);
    return;
  }
  if (writer.ok()) queue_.push(writer.written(), key_of(s.node));
  record.incarnation = s.incarnation;
  record.state = State::kSuspect;
  record.state_change = now_;
  // memberlist counts every record here, those that left in the last half minute too. Among tasks that come and go
  // they can be most of the table: they make the wait longer and promise confirmations that will not come (seen: 12.5 s
  // instead of 5 s in a cluster of three, after one had left). The dead do count: whoever is cut off sees all others
  // die, and must not believe it quicker the more of them are gone.
  std::size_t expected = 0;
  for (const Slot other : members_.slots()) expected += members_[other].state != State::kLeft ? 1U : 0U;
  suspects_.begin(slot, Suspicion(options_.timing, expected, accuser_of(s.from), now_));
}

void Core::expire_suspicions() {
  for (std::size_t i = 0; i < suspects_.size();) {
    if (suspects_.deadline_at(i) > now_) {
      ++i;
      continue;
    }
    const Slot slot = suspects_.slot_at(i);
    const Text node = members_[slot].name;
    // Takes the slot out of suspects_, so `i` now names the next one.
    apply_dead(wire::Dead{members_[slot].incarnation, node.view(), options_.name.view()});
  }
}

void Core::apply_dead(const wire::Dead& d) {
  const Slot slot = members_.find(d.node);
  if (slot == kNoSlot) return;
  Record& record = members_[slot];
  if (d.incarnation < record.incarnation) return;
  unsuspect(slot);
  if (record.gone()) return;
  if (slot == self_ && !leaving()) return refute(d.incarnation);

  std::array<std::uint8_t, 2 * kNameBytesMax + 128> memory;
  ByteWriter writer(memory);
  wire::encode(writer, d);
  if (writer.ok()) {
    const BroadcastQueue::Token token = queue_.push(writer.written(), key_of(d.node));
    if (slot == self_) leave_.token = token;
  }
  record.incarnation = d.incarnation;
  record.state = d.node == d.from ? State::kLeft : State::kDead;
  record.state_change = now_;
  upper_.on_member_leave(record);
}

}  // namespace shoal::swim
