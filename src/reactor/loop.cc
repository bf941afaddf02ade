#include "reactor/loop.h"

#include <algorithm>

#include "base/check.h"
#include "reactor/loop_impl.h"

namespace shoal::reactor {

namespace {

// libuv's clock and ours are the same one (CLOCK_MONOTONIC), so a deadline can be given to it as an absolute number of
// milliseconds, rounded up: it then never wakes us before the deadline.
std::uint64_t to_wake_ms(Instant deadline) {
  const std::int64_t ns = std::max<std::int64_t>(deadline.time_since_epoch().count(), 1);
  return static_cast<std::uint64_t>((ns - 1) / 1'000'000 + 1);
}

}  // namespace

Loop::Impl::Impl(Loop& owner, const Options& options)
    : loop(owner), nodes(options.watches_max), posts(options.posts_max), hooks(options.hooks_max) {
  SHOAL_ASSERT(uv_loop_init(&uv) == 0);
  uv.data = this;
  SHOAL_ASSERT(uv_timer_init(&uv, &wake) == 0);
  SHOAL_ASSERT(uv_idle_init(&uv, &at_once) == 0);
  SHOAL_ASSERT(uv_check_init(&uv, &check) == 0);
  check.data = &owner;
  // The check handle also keeps the loop alive when nothing is watched.
  SHOAL_ASSERT(uv_check_start(&check, [](uv_check_t* handle) { static_cast<Loop*>(handle->data)->end_turn(); }) == 0);
}

PollNode* Loop::Impl::take_node() {
  PollNode* node = free_nodes;
  if (node != nullptr) {
    free_nodes = node->next_free;
  } else if (!nodes.full()) {
    node = &nodes.emplace_back();
    node->impl = this;
  } else {
    return nullptr;
  }
  ++nodes_open;
  return node;
}

Loop::Loop() : Loop(Options{}) {}

Loop::Loop(const Options& options) : impl_(std::make_unique<Impl>(*this, options)) { refresh(); }

Loop::~Loop() {
  // Whoever still holds a Watch or a Timer would point into memory that goes now.
  SHOAL_ASSERT(impl_->nodes_open == 0 && timers_ == nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->wake), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->at_once), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->check), nullptr);
  while (uv_loop_close(&impl_->uv) == UV_EBUSY) uv_run(&impl_->uv, UV_RUN_NOWAIT);
}

void Loop::refresh() {
  const Instant read{Duration(static_cast<std::int64_t>(uv_hrtime()))};
  now_ = std::max(now_, read);
}

void Loop::run() {
  refresh();
  last_read_ = now_;
  for (auto& hook : impl_->hooks) hook();
  arm();
  uv_run(&impl_->uv, UV_RUN_DEFAULT);
}

void Loop::stop() { uv_stop(&impl_->uv); }

void Loop::post(std::function<void()> f) { impl_->posts.push(std::move(f)); }

void Loop::at_end_of_turn(std::function<void()> f) { impl_->hooks.push_back(std::move(f)); }

void Loop::end_turn() {
  refresh();
  const bool read_more = more_reading_first();
  last_read_ = now_;
  if (!read_more) fire_timers();
  run_posts();
  refresh();
  for (auto& hook : impl_->hooks) hook();
  impl_->events = 0;
  arm();
}

// Whether the sockets are to be asked again before the timers that are due now. A timer that is due ends epoll_wait
// without a look at the sockets (so does the EINTR that follows a SIGCONT), hence one read that began after the
// deadline is always made. After a freeze it goes on until a read finds nothing more.
bool Loop::more_reading_first() {
  const Instant first = earliest();
  if (first > now_) {
    rounds_ = 0;
    return false;
  }
  if (rounds_ == 0) rounds_wanted_ = 1;
  if (now_ - std::max(first, last_read_) > kFreeze && rounds_wanted_ < kCatchUpRounds) {
    rounds_wanted_ = kCatchUpRounds;
    ++freezes_;
  }
  const bool quiet = rounds_ > 0 && impl_->events == 0;
  if (quiet || rounds_ == rounds_wanted_) {
    rounds_ = 0;
    return false;
  }
  ++rounds_;
  return true;
}

Instant Loop::earliest() const {
  Instant first = kNever;
  for (const Timer* t = timers_; t != nullptr; t = t->next_) first = earlier(first, t->deadline_);
  return first;
}

// The earliest first. A timer that is armed for the past by one of these callbacks waits for the next turn, so that the
// sockets are not starved; so do the rest if the callbacks themselves take as long as a freeze.
void Loop::fire_timers() {
  const Instant began = now_;
  ++firing_;
  while (now_ - began <= kFreeze) {
    Timer* due = nullptr;
    for (Timer* t = timers_; t != nullptr; t = t->next_) {
      if (t->deadline_ > now_ || t->armed_in_ == firing_) continue;
      if (due == nullptr || t->deadline_ < due->deadline_) due = t;
    }
    if (due == nullptr) return;
    due->stop();
    due->callback_();
    refresh();
  }
}

void Loop::run_posts() {
  for (std::size_t left = impl_->posts.size(); left > 0; --left) {
    refresh();
    const std::function<void()> f = impl_->posts.pop();
    f();
  }
}

// Tells libuv how long the next poll may sleep.
void Loop::arm() {
  if (rounds_ > 0 || !impl_->posts.empty()) {
    uv_idle_start(&impl_->at_once, [](uv_idle_t*) {});
  } else {
    uv_idle_stop(&impl_->at_once);
  }
  const Instant first = earliest();
  const std::uint64_t wake_ms = first == kNever ? 0 : to_wake_ms(first);
  if (wake_ms == impl_->wake_ms) return;
  impl_->wake_ms = wake_ms;
  if (wake_ms == 0) {
    uv_timer_stop(&impl_->wake);
    return;
  }
  impl_->wake.data = impl_.get();
  uv_update_time(&impl_->uv);
  const std::uint64_t present_ms = uv_now(&impl_->uv);
  // Our timers fire after the poll, libuv's before it (and a poll would then sleep again): so do not sleep.
  const auto wake_up = [](uv_timer_t* handle) {
    auto& impl = *static_cast<Impl*>(handle->data);
    impl.wake_ms = 0;
    uv_idle_start(&impl.at_once, [](uv_idle_t*) {});
  };
  uv_timer_start(&impl_->wake, wake_up, wake_ms > present_ms ? wake_ms - present_ms : 0, 0);
}

Timer::Timer(Loop& loop, std::function<void()> callback) : loop_(loop), callback_(std::move(callback)) {}

Timer::~Timer() { stop(); }

void Timer::at(Instant deadline) {
  if (deadline == deadline_) return;
  const bool was_armed = deadline_ != kNever;
  deadline_ = deadline;
  armed_in_ = loop_.firing_;
  const bool armed = deadline_ != kNever;
  if (armed == was_armed) return;
  if (armed) {
    next_ = loop_.timers_;
    link_ = &loop_.timers_;
    if (next_ != nullptr) next_->link_ = &next_;
    loop_.timers_ = this;
  } else {
    *link_ = next_;
    if (next_ != nullptr) next_->link_ = link_;
    next_ = nullptr;
    link_ = nullptr;
  }
}

}  // namespace shoal::reactor
