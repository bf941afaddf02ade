#include "app/steering.h"

#include <algorithm>
#include <utility>

namespace shoal::app {
namespace {

/// Tells our tokens from those of the role's own questions, which count up from 1.
constexpr std::uint64_t kTokenMark = std::uint64_t{1} << 63;
constexpr std::array<Duration, 3> kWaits = {1s, 1s, 3s};  // After each try.

}  // namespace

const serf::Member* find_steered(const serf::Members& members, std::string_view name) {
  if (const serf::Member* exact = members.get(name)) return exact;
  const std::size_t dash = name.rfind('-');
  if (dash == std::string_view::npos) return nullptr;
  const std::string_view without_start = name.substr(0, dash);
  const serf::Member* found = nullptr;
  for (const Slot slot : members.slots()) {
    const serf::Member& member = members[slot];
    const std::string_view node = member.name.view();
    if (without_start.size() <= node.size() || !without_start.ends_with(node)) continue;
    if (without_start[without_start.size() - node.size() - 1] != '-') continue;
    // `shoal-web-1` ends with both `1` and `web-1`: the longer one is meant.
    if (found == nullptr || node.size() > found->name.view().size()) found = &member;
  }
  return found;
}

Steering::Steering(reactor::Loop& loop, GossipDriver& gossip)
    : loop_(loop), gossip_(gossip), timer_(loop, [this] { on_deadline(); }) {}

bool Steering::begin(const serf::Member& task, const announce::Steering& wish, Done done) {
  Open* const free = std::find_if(open_.begin(), open_.end(), [](const Open& open) { return open.token == 0; });
  if (free == open_.end()) return false;
  *free = Open{kTokenMark | ++last_, task.endpoint(), std::string(task.name.view()), wish, 0, {}, std::move(done)};
  ask(*free);
  arm();
  return true;
}

void Steering::ask(Open& open) {
  open.next = loop_.now() + kWaits[open.tries];
  ++open.tries;
  std::array<std::uint8_t, announce::kPayloadBytesMax> memory;
  const bool last = open.tries == kWaits.size();
  gossip_.ask({open.token, last ? announce::Route::kDirectTcp : announce::Route::kDirectUdp, open.to, open.node,
               announce::kSteerQuery, announce::encode(open.wish, memory)});
}

void Steering::on_deadline() {
  for (Open& open : open_) {
    if (open.token == 0 || loop_.now() < open.next) continue;
    if (open.tries < kWaits.size()) {
      ask(open);
    } else {
      finish(open, 504, "the task does not answer; is it alive (`shoal members`), and a shoal of this version?");
    }
  }
  arm();
}

bool Steering::on_response(std::uint64_t token, std::string_view from, Bytes payload) {
  if ((token & kTokenMark) == 0) return false;
  Open* const open = std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.token == token; });
  if (open == open_.end() || from != open->node) return true;  // Too late, or somebody else's word.
  const auto answer = announce::decode_steering_answer(payload);
  if (!answer) {
    finish(*open, 409, "the task's answer cannot be read; is it a shoal of another version?");
  } else if (!answer->accepted) {
    finish(*open, 409, answer->reason_text.view());
  } else {
    finish(*open, 200, {});
  }
  arm();
  return true;
}

void Steering::finish(Open& open, int http_status, std::string_view message) {
  const Done done = std::exchange(open, Open{}).done;
  done(http_status, message);
}

void Steering::arm() {
  Instant next = kNever;
  for (const Open& open : open_) {
    if (open.token != 0) next = earlier(next, open.next);
  }
  timer_.at(next);
}

}  // namespace shoal::app
