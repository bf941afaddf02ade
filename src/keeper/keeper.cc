#include "keeper/keeper.h"

#include <algorithm>
#include <utility>

namespace shoal::keeper {
namespace {

constexpr Duration kBudgetMin = 500ms;
constexpr Duration kPlatformReserve = 2s;  // Between our exit and the platform's SIGKILL.
constexpr Duration kAfterSoft = 3s;        // What is kept back for HAProxy's end and the sidecar's leave.
constexpr Duration kFastKillProxy = 500ms;
constexpr Duration kFastKillSidecar = 2700ms;
constexpr Duration kFastTotal = 3s;
constexpr int kSilencesMost = 2;      // One may be a HAProxy that ends at this moment.
constexpr int kBackgroundMisses = 3;  // One that has just gone into the background may need a moment.
constexpr std::int32_t kSigQuit = 3;  // By number: no core includes a system header.
constexpr std::int32_t kSigHup = 1;
constexpr std::int32_t kSigKill = 9;
constexpr std::int32_t kSigUsr1 = 10;
constexpr std::int32_t kSigTerm = 15;
constexpr std::int32_t kExitSoftware = 70;     // EX_SOFTWARE
constexpr std::int32_t kExitBadSettings = 78;  // EX_CONFIG

}  // namespace

StopPlan stop_plan(Duration drain_timeout, Duration stop_timeout) {
  StopPlan plan;
  plan.total = std::max(kBudgetMin, std::min(drain_timeout, stop_timeout - kPlatformReserve));
  const Duration reserve = std::min(kAfterSoft, plan.total / 2);
  plan.soft = plan.total - reserve;
  plan.kill_proxy = plan.soft + reserve / 6;
  plan.kill_sidecar = plan.total - reserve / 10;
  return plan;
}

// One row a state, one column an event, in the order of the enums. `ignore` means that the event is normal there and
// asks for nothing; `unexpected` that it cannot happen, which is logged when it does.
struct Keeper::Tables {
  using K = Keeper;
  static constexpr Action kNo = &K::unexpected;
  static constexpr Action kOk = &K::ignore;
  static constexpr Action kNoS = &K::unexpected_in_sidecar;
  using ProxyRow = std::array<Action, static_cast<std::size_t>(ProxyEvent::kCount)>;
  using SidecarRow = std::array<Action, static_cast<std::size_t>(SidecarEvent::kCount)>;
  // clang-format off
  static constexpr std::array<ProxyRow, static_cast<std::size_t>(ProxyState::kCount)> kProxy = {{
    // Idle
    {&K::look,                                                                    // start
     kNo, kNo, kNo, kNo,                                                          // looked: nobody, silent, foreign, ours
     kNo, kNo, kNo,                                                               // started, not started, exited
     kOk, &K::stop_unstarted, &K::stop_unstarted,                                 // reload, stop, stop fast
     kNo, kNo, kNo, kNo, kNo},                                                    // look due, retry, starting over, soft over, kill
    // Looking
    {kNo,
     &K::start_or_look_again, &K::wait_for_silent, &K::use_foreign, &K::adopt,
     kNo, kNo, kNo,
     kOk, &K::stop_unstarted, &K::stop_unstarted,
     &K::ask_again, kNo, kNo, kNo, kNo},
    // Starting
    {kNo,
     &K::note_proxy_started, &K::note_proxy_started, &K::came_up, &K::came_up,
     &K::note_proxy_started, &K::proxy_not_started, &K::died_starting,
     &K::reload_later, &K::stop_softly, &K::end_requested,
     &K::ask_again, kNo, &K::take_as_up, kNo, kNo},
    // Serving
    {kNo,
     kOk, kOk, kOk, kOk,
     kNo, kNo, &K::proxy_died,
     &K::reload, &K::stop_softly, &K::end_requested,
     kNo, kNo, kNo, kNo, kNo},
    // Foreign
    {kNo,
     &K::miss_foreign, &K::watch_foreign, &K::watch_foreign, &K::adopt,
     kNo, kNo, kNo,
     &K::refuse_reload, &K::leave_foreign, &K::leave_foreign,
     &K::ask_again, kNo, kNo, kNo, kNo},
    // Waiting
    {kNo,
     kOk, kOk, kOk, kOk,
     kNo, kNo, kNo,
     kOk, &K::stop_unstarted, &K::stop_unstarted,
     kNo, &K::look, kNo, kNo, kNo},
    // Stopping
    {kNo,
     kOk, kOk, kOk, kOk,
     kNo, kNo, &K::proxy_stopped,
     kOk, kOk, &K::end_requested,
     &K::stop_softly, kNo, kNo, &K::end_overdue, &K::kill_proxy},
    // Ending
    {kNo,
     kOk, kOk, kOk, kOk,
     kNo, kNo, &K::proxy_stopped,
     kOk, kOk, kOk,
     kNo, kNo, kNo, kNo, &K::kill_proxy},
    // Killing
    {kNo,
     kOk, kOk, kOk, kOk,
     kNo, kNo, &K::proxy_stopped,
     kOk, kOk, kOk,
     kNo, kNo, kNo, kNo, kNo},
    // Gone
    {kNo,
     kOk, kOk, kOk, kOk,
     kOk, kOk, kOk,
     kOk, kOk, kOk,
     kNo, kNo, kNo, kNo, kNo},
  }};
  static constexpr std::array<SidecarRow, static_cast<std::size_t>(SidecarState::kCount)> kSidecar = {{
    // Held
    {&K::start_sidecar, kNoS, kNoS, kNoS,                                         // HAProxy good, started, not started, exited
     kOk, &K::sidecar_gone, &K::sidecar_gone, kNoS, kNoS},                        // reload, stop, stop fast, retry, kill
    // Running
    {kOk, &K::note_sidecar_started, &K::sidecar_not_started, &K::sidecar_died,
     &K::pass_reload_on, &K::tell_sidecar, &K::tell_sidecar_fast, kNoS, &K::kill_sidecar},
    // Waiting
    {kOk, kNoS, kNoS, kNoS,
     kOk, &K::sidecar_gone, &K::sidecar_gone, &K::start_sidecar, kNoS},
    // Leaving
    {kOk, kNoS, kNoS, &K::sidecar_gone,
     kOk, kOk, &K::tell_sidecar_fast, kNoS, &K::kill_sidecar},
    // Killing
    {kOk, kNoS, kNoS, &K::sidecar_gone,
     kOk, kOk, kOk, kNoS, kNoS},
    // Gone
    {kOk, kOk, kOk, kOk,
     kOk, kOk, kOk, kNoS, kNoS},
  }};
  // clang-format on
};

void Keeper::happen(Instant now, ProxyEvent event, KeeperOutbox& out) {
  event_ = static_cast<std::int32_t>(event);
  // A row that is too short ends in null: the test of all states by all events finds it.
  const Action action = Tables::kProxy[static_cast<std::size_t>(proxy_)][static_cast<std::size_t>(event)];
  SHOAL_ASSERT(action != nullptr);
  (this->*action)(now, out);
}

void Keeper::happen(Instant now, SidecarEvent event, KeeperOutbox& out) {
  event_ = static_cast<std::int32_t>(event);
  const Action action = Tables::kSidecar[static_cast<std::size_t>(sidecar_)][static_cast<std::size_t>(event)];
  SHOAL_ASSERT(action != nullptr);
  (this->*action)(now, out);
}

void Keeper::tick(Instant now, const KeeperOutbox& out) {
  SHOAL_ASSERT(out.empty());
  SHOAL_ASSERT(now >= now_);
  now_ = now;
}

// --- inputs ------------------------------------------------------------------------------------------------------

void Keeper::start(Instant now, KeeperOutbox& out) {
  tick(now, out);
  happen(now, ProxyEvent::kStart, out);
}

void Keeper::on_looked(Instant now, Looked looked, KeeperOutbox& out) {
  tick(now, out);
  SHOAL_ASSERT(looking_);
  looking_ = false;
  if (stale_) {
    // It was asked before what it should tell about.
    stale_ = false;
    return ask(out);
  }
  switch (looked) {
    case Looked::kNobody: return happen(now, ProxyEvent::kNobody, out);
    case Looked::kSilent: return happen(now, ProxyEvent::kSilent, out);
    case Looked::kForeign: return happen(now, ProxyEvent::kForeign, out);
    case Looked::kOurs: return happen(now, ProxyEvent::kOurs, out);
  }
}

void Keeper::on_proxy_started(Instant now, KeeperOutbox& out) {
  tick(now, out);
  happen(now, ProxyEvent::kStarted, out);
}

void Keeper::on_proxy_failed(Instant now, std::int32_t exit_code, KeeperOutbox& out) {
  tick(now, out);
  status_ = exit_code;
  happen(now, ProxyEvent::kNotStarted, out);
}

void Keeper::on_sidecar_started(Instant now, KeeperOutbox& out) {
  tick(now, out);
  happen(now, SidecarEvent::kStarted, out);
}

void Keeper::on_sidecar_failed(Instant now, std::int32_t exit_code, KeeperOutbox& out) {
  tick(now, out);
  status_ = exit_code;
  happen(now, SidecarEvent::kNotStarted, out);
}

void Keeper::on_proxy_exit(Instant now, ChildExit exit, KeeperOutbox& out) {
  tick(now, out);
  status_ = exit.status;
  happen(now, ProxyEvent::kExited, out);
}

void Keeper::on_sidecar_exit(Instant now, ChildExit exit, KeeperOutbox& out) {
  tick(now, out);
  status_ = exit.status;
  happen(now, SidecarEvent::kExited, out);
}

void Keeper::on_stop_signal(Instant now, bool fast, KeeperOutbox& out) {
  tick(now, out);
  if (finished_) return;
  if (stop_began_ == kNever) {
    stop_began_ = now;
    const StopPlan plan = stop_plan(options_.drain_timeout, options_.stop_timeout);
    deadline(Timer::kSoft) = now + plan.soft;
    deadline(Timer::kKillProxy) = now + plan.kill_proxy;
    deadline(Timer::kKillSidecar) = now + plan.kill_sidecar;
    deadline(Timer::kBudget) = now + plan.total;
  } else {
    fast = true;
  }
  note(Note::Kind::kStopRequested, since_stop(now), fast ? 1 : 0, out);
  if (fast) {
    deadline(Timer::kSoft) = kNever;
    const auto at_the_latest = [&](Timer timer, Duration part) {
      deadline(timer) = earlier(deadline(timer), now + part);
    };
    at_the_latest(Timer::kKillProxy, kFastKillProxy);
    at_the_latest(Timer::kKillSidecar, kFastKillSidecar);
    at_the_latest(Timer::kBudget, kFastTotal);
    happen(now, SidecarEvent::kStopFast, out);
  } else if (sidecar_ == SidecarState::kHeld || sidecar_ == SidecarState::kWaiting) {
    happen(now, SidecarEvent::kStop, out);  // None is started for a HAProxy that goes.
  }
  if (!finished_) happen(now, fast ? ProxyEvent::kStopFast : ProxyEvent::kStop, out);
}

void Keeper::on_reload_signal(Instant now, KeeperOutbox& out) {
  tick(now, out);
  if (stop_began_ != kNever) return;
  happen(now, ProxyEvent::kReload, out);
  happen(now, SidecarEvent::kReload, out);
}

void Keeper::on_deadline(Instant now, KeeperOutbox& out) {
  tick(now, out);
  const auto due = [&](Timer timer) {
    if (deadline(timer) > now) return false;
    deadline(timer) = kNever;
    return true;
  };
  if (due(Timer::kLook)) happen(now, ProxyEvent::kLookDue, out);
  if (due(Timer::kRetryProxy)) happen(now, ProxyEvent::kRetryDue, out);
  if (due(Timer::kStarting)) happen(now, ProxyEvent::kStartingOver, out);
  if (due(Timer::kSoft)) happen(now, ProxyEvent::kSoftOver, out);
  if (due(Timer::kKillProxy)) happen(now, ProxyEvent::kKillDue, out);
  if (due(Timer::kRetrySidecar)) happen(now, SidecarEvent::kRetryDue, out);
  if (due(Timer::kKillSidecar)) happen(now, SidecarEvent::kKillDue, out);
  if (!due(Timer::kBudget)) return;
  note(Note::Kind::kAbandoned, since_stop(now), 0, out);
  finish(0, out);
}

Instant Keeper::next_deadline() const { return *std::min_element(deadlines_.begin(), deadlines_.end()); }

// --- cells: HAProxy ----------------------------------------------------------------------------------------------

void Keeper::ignore(Instant /*now*/, KeeperOutbox& /*out*/) {}

void Keeper::unexpected(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kUnexpected, now - proxy_began_, static_cast<std::int32_t>(proxy_) * 100 + event_, out);
}

void Keeper::unexpected_in_sidecar(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kUnexpected, now - sidecar_began_, static_cast<std::int32_t>(sidecar_) * 100 + event_ + 10000, out);
}

void Keeper::look(Instant /*now*/, KeeperOutbox& out) {
  proxy_ = ProxyState::kLooking;
  misses_ = silences_ = 0;
  misses_wanted_ = 1;
  ask(out);
}

void Keeper::start_or_look_again(Instant now, KeeperOutbox& out) {
  silences_ = 0;
  if (++misses_ < misses_wanted_) return look_in(now, kMissLook);
  if (std::exchange(in_background_, false)) {
    note(Note::Kind::kProxyInBackground, now - proxy_began_, 0, out);
    return came_up_ ? retry_proxy(now, Duration{}, out) : finish(kExitBadSettings, out);
  }
  start_proxy(now, out);
}

void Keeper::wait_for_silent(Instant now, KeeperOutbox& out) {
  misses_ = 0;
  ++silences_;
  if (silences_ == kSilencesMost) note(Note::Kind::kSocketSilent, Duration{}, 0, out);
  look_in(now, silences_ < kSilencesMost ? kMissLook : kForeignLook);
}

void Keeper::use_foreign(Instant now, KeeperOutbox& out) {
  proxy_ = ProxyState::kForeign;
  note(Note::Kind::kProxyForeign, Duration{}, 0, out);
  watch_foreign(now, out);
  proxy_is_good(now, out);
}

void Keeper::watch_foreign(Instant now, KeeperOutbox& /*out*/) {
  misses_ = 0;
  look_in(now, rng_.jittered(kForeignLook));
}

void Keeper::miss_foreign(Instant now, KeeperOutbox& out) {
  if (++misses_ < kMissesMost) return look_in(now, kMissLook);
  note(Note::Kind::kForeignGone, Duration{}, 0, out);
  start_proxy(now, out);
}

void Keeper::adopt(Instant now, KeeperOutbox& out) {
  deadline(Timer::kLook) = kNever;
  in_background_ = false;
  proxy_began_ = now;
  proxy_ = ProxyState::kServing;
  note(Note::Kind::kProxyAdopted, Duration{}, 0, out);
  proxy_is_good(now, out);
}

void Keeper::note_proxy_started(Instant now, KeeperOutbox& /*out*/) { look_in(now, kStartingLook); }

void Keeper::ask_again(Instant /*now*/, KeeperOutbox& out) { ask(out); }

void Keeper::proxy_not_started(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kProxyNotStarted, Duration{}, status_, out);
  came_up_ ? retry_proxy(now, Duration{}, out) : finish(status_, out);
}

void Keeper::came_up(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kProxyUp, now - proxy_began_, 0, out);
  proxy_ = ProxyState::kServing;
  deadline(Timer::kLook) = deadline(Timer::kStarting) = kNever;
  if (std::exchange(reload_later_, false)) out.add(ReloadProxy{});
  proxy_is_good(now, out);
}

void Keeper::take_as_up(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kProxyNotAnswering, now - proxy_began_, 0, out);
  proxy_ = ProxyState::kServing;
  deadline(Timer::kLook) = kNever;
  if (std::exchange(reload_later_, false)) out.add(ReloadProxy{});
  proxy_is_good(now, out);
}

void Keeper::died_starting(Instant now, KeeperOutbox& out) {
  deadline(Timer::kLook) = deadline(Timer::kStarting) = kNever;
  if (status_ == 0) {
    // What `daemon` in its configuration does: perhaps it answers from the background.
    in_background_ = true;
    look(now, out);
    misses_wanted_ = kBackgroundMisses;
    return;
  }
  if (came_up_) return proxy_died(now, out);
  note(Note::Kind::kProxyFailedAtStart, now - proxy_began_, status_, out);
  finish(status_ > 0 ? status_ : kExitSoftware, out);
}

void Keeper::proxy_died(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kProxyExited, now - proxy_began_, status_, out);
  out.add(RetireProxyGroup{});
  retry_proxy(now, now - proxy_began_, out);
}

void Keeper::reload(Instant /*now*/, KeeperOutbox& out) { out.add(ReloadProxy{}); }

// Before HAProxy has its handlers in place the signal would end it; and it may have read its files already.
void Keeper::reload_later(Instant /*now*/, KeeperOutbox& /*out*/) { reload_later_ = true; }

void Keeper::refuse_reload(Instant /*now*/, KeeperOutbox& out) { note(Note::Kind::kReloadNotOurs, Duration{}, 0, out); }

void Keeper::stop_unstarted(Instant now, KeeperOutbox& out) { proxy_gone(now, out); }

void Keeper::leave_foreign(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kForeignLeft, Duration{}, 0, out);
  proxy_gone(now, out);
}

// Again and again: a master that is just about a reload starts itself anew, and the signal is lost with what it was.
void Keeper::stop_softly(Instant now, KeeperOutbox& out) {
  proxy_ = ProxyState::kStopping;
  deadline(Timer::kStarting) = kNever;
  deadline(Timer::kLook) = now + soft_again_;
  soft_again_ *= 2;
  out.add(SignalProxy{kSigUsr1});
}

void Keeper::end_requested(Instant /*now*/, KeeperOutbox& out) {
  proxy_ = ProxyState::kEnding;
  deadline(Timer::kLook) = deadline(Timer::kStarting) = kNever;
  out.add(SignalProxy{kSigTerm});
}

void Keeper::end_overdue(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kProxyCutShort, since_stop(now), 0, out);
  end_requested(now, out);
}

void Keeper::kill_proxy(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kProxyKilled, since_stop(now), 0, out);
  proxy_ = ProxyState::kKilling;
  out.add(SignalProxy{kSigKill});
  // Whatever keeps it: the sidecar needs the rest of the budget for its leave.
  happen(now, SidecarEvent::kStop, out);
}

void Keeper::proxy_stopped(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kProxyGone, since_stop(now), status_, out);
  out.add(RetireProxyGroup{});
  proxy_gone(now, out);
}

// --- cells: the sidecar ------------------------------------------------------------------------------------------

void Keeper::start_sidecar(Instant now, KeeperOutbox& out) {
  sidecar_ = SidecarState::kRunning;
  sidecar_began_ = now;
  out.add(StartSidecar{});
}

void Keeper::note_sidecar_started(Instant now, KeeperOutbox& /*out*/) { sidecar_began_ = now; }

void Keeper::sidecar_not_started(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kSidecarNotStarted, Duration{}, status_, out);
  retry_sidecar(now, Duration{}, out);
}

void Keeper::sidecar_died(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kSidecarExited, now - sidecar_began_, status_, out);
  // A HAProxy that goes needs no new one.
  if (stop_began_ != kNever) return sidecar_gone(now, out);
  retry_sidecar(now, now - sidecar_began_, out);
}

void Keeper::pass_reload_on(Instant /*now*/, KeeperOutbox& out) { out.add(SignalSidecar{kSigHup}); }

void Keeper::tell_sidecar(Instant /*now*/, KeeperOutbox& out) {
  sidecar_ = SidecarState::kLeaving;
  out.add(SignalSidecar{kSigTerm});
}

void Keeper::tell_sidecar_fast(Instant /*now*/, KeeperOutbox& out) {
  sidecar_ = SidecarState::kLeaving;
  out.add(SignalSidecar{kSigQuit});
}

void Keeper::kill_sidecar(Instant now, KeeperOutbox& out) {
  note(Note::Kind::kSidecarKilled, since_stop(now), 0, out);
  sidecar_ = SidecarState::kKilling;
  out.add(SignalSidecar{kSigKill});
}

void Keeper::sidecar_gone(Instant /*now*/, KeeperOutbox& out) {
  sidecar_ = SidecarState::kGone;
  deadline(Timer::kRetrySidecar) = deadline(Timer::kKillSidecar) = kNever;
  finish_when_both_gone(out);
}

// --- what the cells are made of ----------------------------------------------------------------------------------

void Keeper::ask(KeeperOutbox& out) {
  deadline(Timer::kLook) = kNever;
  if (looking_) {
    stale_ = true;
    return;
  }
  looking_ = true;
  out.add(Look{});
}

void Keeper::look_in(Instant now, Duration wait) { deadline(Timer::kLook) = now + wait; }

void Keeper::start_proxy(Instant now, KeeperOutbox& out) {
  proxy_ = ProxyState::kStarting;
  proxy_began_ = now;
  reload_later_ = false;  // It reads its files now.
  deadline(Timer::kStarting) = now + kStartingMost;
  out.add(StartProxy{});
}

void Keeper::proxy_is_good(Instant now, KeeperOutbox& out) {
  came_up_ = true;
  happen(now, SidecarEvent::kProxyGood, out);
}

void Keeper::retry_proxy(Instant now, Duration was_up, KeeperOutbox& out) {
  proxy_ = ProxyState::kWaiting;
  deadline(Timer::kLook) = deadline(Timer::kStarting) = kNever;
  const Duration wait = proxy_backoff_.next(was_up, rng_);
  deadline(Timer::kRetryProxy) = now + wait;
  note(Note::Kind::kProxyRetry, wait, 0, out);
}

void Keeper::retry_sidecar(Instant now, Duration was_up, KeeperOutbox& out) {
  sidecar_ = SidecarState::kWaiting;
  const Duration wait = sidecar_backoff_.next(was_up, rng_);
  deadline(Timer::kRetrySidecar) = now + wait;
  note(Note::Kind::kSidecarRetry, wait, 0, out);
}

void Keeper::proxy_gone(Instant now, KeeperOutbox& out) {
  proxy_ = ProxyState::kGone;
  for (const Timer timer : {Timer::kLook, Timer::kRetryProxy, Timer::kStarting, Timer::kSoft, Timer::kKillProxy})
    deadline(timer) = kNever;
  happen(now, SidecarEvent::kStop, out);
  finish_when_both_gone(out);
}

void Keeper::finish(std::int32_t code, KeeperOutbox& out) {
  finished_ = true;
  deadlines_.fill(kNever);
  proxy_ = ProxyState::kGone;
  sidecar_ = SidecarState::kGone;
  out.add(Exit{code});
}

void Keeper::finish_when_both_gone(KeeperOutbox& out) {
  if (!finished_ && proxy_ == ProxyState::kGone && sidecar_ == SidecarState::kGone) finish(0, out);
}

void Keeper::note(Note::Kind kind, Duration elapsed, std::int32_t number, KeeperOutbox& out) {
  out.add(Note{kind, elapsed, number});
}

}  // namespace shoal::keeper
