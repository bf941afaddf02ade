#include "app/operator_join.h"

#include <algorithm>
#include <utility>

#include "config/values.h"

namespace shoal::app {

OperatorJoin::OperatorJoin(reactor::Loop& loop, GossipDriver& gossip)
    : loop_(loop),
      gossip_(gossip),
      resolver_(loop, [this](const reactor::Resolved& answer) { on_resolved(answer); }),
      timer_(loop, [this] { finish(); }) {}

void OperatorJoin::begin(std::span<const std::string_view> addresses, bool replay, Done done) {
  SHOAL_ASSERT(!busy());
  replay_ = replay;
  done_ = std::move(done);
  first_token_ += targets_.size();
  targets_.clear();
  for (const std::string_view text : addresses.first(std::min(addresses.size(), kAddressesMax))) {
    Target& target = targets_.emplace_back();
    target.text = text;
    const std::uint64_t token = first_token_ + targets_.size() - 1;
    const Instant deadline = loop_.now() + kResolveMost;
    config::Seed seed;
    bool asked = true;
    if (const std::string wrong = config::read_seed(text, seed); !wrong.empty()) {
      target.state = State::kFailed;
      target.error = wrong;
    } else if (seed.kind == config::Seed::Kind::kAddress) {
      target.places = {seed.address};
      target.state = State::kResolved;
    } else if (seed.kind == config::Seed::Kind::kHost) {
      asked = resolver_.resolve_host(token, seed.host, seed.port, deadline);
    } else {
      asked = resolver_.resolve_srv(token, seed.host, deadline);
    }
    if (!asked) {
      target.state = State::kFailed;
      target.error = "too many names are being resolved";
    }
  }
  timer_.at(loop_.now() + kMost);
  loop_.post([this] { step(); });
}

void OperatorJoin::on_resolved(const reactor::Resolved& answer) {
  if (!busy() || answer.token < first_token_ || answer.token - first_token_ >= targets_.size()) return;
  Target& target = targets_[answer.token - first_token_];
  target.places.assign(answer.endpoints.begin(), answer.endpoints.end());
  target.error = answer.error.view();
  target.state = target.places.empty() ? State::kFailed : State::kResolved;
  step();
}

/// Goes on wherever something can be done.
void OperatorJoin::step() {
  if (!busy()) return;
  for (Target& target : targets_) {
    if (target.state == State::kResolved) try_next(target);
  }
  const bool all_done = std::all_of(targets_.begin(), targets_.end(), [](const Target& target) {
    return target.state == State::kJoined || target.state == State::kFailed;
  });
  if (all_done) finish();
}

void OperatorJoin::try_next(Target& target) {
  target.trying = target.places.front();
  target.places.erase(target.places.begin());
  target.state = State::kJoining;
  gossip_.join(target.trying, replay_);
}

void OperatorJoin::on_join(const serf::JoinEvent& join) {
  if (!busy()) return;
  for (Target& target : targets_) {
    if (target.state != State::kJoining || !same_place(target.trying, join.to)) continue;
    target.error = join.error.view();
    target.state = join.ok ? State::kJoined : target.places.empty() ? State::kFailed : State::kResolved;
  }
  // Not from here: these news are being given.
  loop_.post([this] { step(); });
}

void OperatorJoin::finish() {
  if (!busy()) return;
  timer_.stop();
  std::uint32_t joined = 0;
  std::size_t failed = 0;
  std::string why;
  for (const Target& target : targets_) {
    if (target.state == State::kJoined) {
      ++joined;
      continue;
    }
    ++failed;
    why += "\n\t* failed to join " + target.text + ": " + (target.error.empty() ? "no answer in time" : target.error);
  }
  const Done done = std::exchange(done_, nullptr);
  if (joined > 0 || failed == 0) return done(joined, {});
  done(0, std::to_string(failed) + (failed == 1 ? " error" : " errors") + " occurred:" + why);
}

}  // namespace shoal::app
