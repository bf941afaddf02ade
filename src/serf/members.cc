#include "serf/members.h"

namespace shoal::serf {

std::string_view to_text(Status status) {
  switch (status) {
    case Status::kNone: return "none";
    case Status::kAlive: return "alive";
    case Status::kLeaving: return "leaving";
    case Status::kLeft: return "left";
    case Status::kFailed: return "failed";
  }
  SHOAL_UNREACHABLE();
}

Slot Members::insert(const Text& name, Text& evicted) {
  if (table_.full()) {
    Slot victim = kNoSlot;
    for (const Slot slot : table_.slots()) {
      const Member& member = table_[slot];
      if (member.status != Status::kLeft && member.status != Status::kFailed) continue;
      if (victim == kNoSlot || member.gone_since < table_[victim].gone_since) victim = slot;
    }
    if (victim == kNoSlot) return kNoSlot;
    evicted = table_[victim].name;
    erase(victim);
  }
  return table_.insert(name);
}

void Members::erase(Slot slot) {
  const std::uint32_t known = table_[slot].coordinate;
  if (known != Member::kNoCoordinate) coordinates_.take_away(known);
  table_.erase(slot);
}

void Members::keep_coordinate(Slot slot, const PeerCoordinate& coordinate) {
  SHOAL_ASSERT(table_[slot].coordinate == Member::kNoCoordinate);
  table_[slot].coordinate = coordinates_.put(coordinate);
}

std::size_t Members::count(Status status) const {
  std::size_t n = 0;
  for (const Slot slot : table_.slots()) n += table_[slot].status == status ? 1 : 0;
  return n;
}

bool Members::buffer_intent(std::string_view node, bool leave, LamportTime ltime, Instant now) {
  if (node.size() > swim::kNameBytesMax) return false;
  for (std::size_t i = 0; i < intents_.size();) {
    if (now - intents_[i].since > kIntentLife) {
      intents_.swap_erase(i);
    } else {
      ++i;
    }
  }
  for (BufferedIntent& intent : intents_) {
    if (intent.node != node) continue;
    if (ltime <= intent.ltime) return false;
    intent.leave = leave;
    intent.ltime = ltime;
    intent.since = now;
    return true;
  }
  if (intents_.full()) return false;
  BufferedIntent& intent = intents_.emplace_back();
  intent.node = NodeName(node);
  intent.leave = leave;
  intent.ltime = ltime;
  intent.since = now;
  return true;
}

BufferedIntent Members::take_intent(std::string_view node) {
  for (std::size_t i = 0; i < intents_.size(); ++i) {
    if (intents_[i].node != node) continue;
    BufferedIntent taken = intents_[i];
    intents_.swap_erase(i);
    return taken;
  }
  return {};
}

}  // namespace shoal::serf
