// The table of states by events. What the cells do stands in supervisor.cc (start, restart, renewal) and
// supervisor_stop.cc.
#include "task/supervisor.h"

namespace shoal::task {

// One row a state, one column an event, in the order of the enums. `ignore` means that the event is normal there and
// asks for nothing; `unexpected` that it cannot happen, which is logged when it does.
struct Supervisor::Table {
  using S = Supervisor;
  static constexpr Action kNo = &S::unexpected;
  static constexpr Action kOk = &S::ignore;
  // clang-format off
  static constexpr std::array<Row, kStates> kActions = {{
    // Idle
    {&S::spawn_first, kNo, kNo, kNo, kNo, kNo,                                  // start, worker: started, not started, ready, exited, gone
     kNo, kNo, kNo,                                                             // the other one: gone, ready; aside
     kOk, kOk, kOk, kOk,                                                        // unhealthy, healthy, replace, renew
     &S::exit_unstarted, &S::exit_unstarted,                                    // stop, stop fast
     kNo, kNo, kNo, kOk,                                                        // drained, unconfirmed, left, signal
     kNo, kNo, kNo, kNo, kNo,                                                   // ready timeout, back-off, backlog wait, aside, return
     kNo, kNo, kNo, kNo, kNo, kNo},                                             // share, head start, leave, worker's kill, kill, budget
    // Spawning
    {kNo, &S::note_started, &S::not_started, kNo, &S::lose_worker, kNo,
     kOk, kNo, kNo,
     kOk, kOk, kOk, &S::remember_renewal,
     &S::stop_without_drain, &S::stop_without_drain,
     kOk, kOk, kNo, kOk,
     &S::give_up_starting, kNo, &S::withdraw_overdue, kNo, kNo,
     kNo, kNo, kNo, kNo, kNo, kNo},
    // Starting
    {kNo, kNo, &S::not_started, &S::announce, &S::lose_worker, kNo,
     kOk, kNo, kNo,
     kOk, kOk, kOk, &S::remember_renewal,
     &S::stop_without_drain, &S::stop_without_drain,
     kOk, kOk, kNo, &S::pass_signal_on,
     &S::give_up_starting, kNo, &S::withdraw_overdue, kNo, kNo,
     kNo, kNo, kNo, kNo, kNo, kNo},
    // Ready
    {kNo, kNo, kNo, kOk, &S::lose_worker, kNo,
     &S::other_gone, &S::step_aside, kNo,
     &S::become_unhealthy, kOk, &S::replace, &S::begin_renewal,
     &S::begin_drain, &S::begin_drain,
     kOk, kOk, kNo, &S::pass_signal_on,
     kNo, kNo, kNo, kNo, &S::return_to_ready,
     kNo, kNo, kNo, kNo, kNo, kNo},
    // Unhealthy
    {kNo, kNo, kNo, kOk, &S::lose_worker, kNo,
     &S::other_gone, &S::step_aside, kNo,
     kOk, &S::become_healthy, &S::replace, &S::begin_renewal,
     &S::begin_drain, &S::begin_drain,
     &S::note_empty, &S::note_empty, kNo, &S::pass_signal_on,
     kNo, kNo, kNo, kNo, kNo,
     kNo, kNo, kNo, kNo, kNo, kNo},
    // Changing
    {kNo, kNo, kNo, kOk, &S::old_died_in_change, kNo,
     &S::other_gone, kOk, &S::wait_until_empty,
     &S::hand_over, kOk, &S::hand_over, &S::remember_renewal,
     &S::begin_drain, &S::begin_drain,
     &S::hand_over, &S::hand_over, kNo, &S::pass_signal_on,
     kNo, kNo, kNo, &S::hand_over, kNo,
     kNo, kNo, kNo, kNo, kNo, kNo},
    // Ending: a new start follows anyhow, so a renewal asks for nothing.
    {kNo, &S::kill_late_starter, &S::back_off, kOk, &S::ending_exited, &S::back_off,
     kOk, kNo, kNo,
     kOk, kOk, kOk, kOk,
     &S::stop_ending, &S::stop_ending,
     &S::tell_ending, &S::tell_ending, kNo, &S::pass_signal_on,
     kNo, kNo, &S::withdraw_overdue, kNo, kNo,
     &S::tell_ending, kNo, kNo, &S::kill_ending, kNo, kNo},
    // BackingOff: an exec that failed is told twice, by the pipe and by the child's exit.
    {kNo, kNo, kOk, kOk, kOk, kOk,
     kOk, kNo, kNo,
     kOk, kOk, kOk, &S::spawn_again,
     &S::stop_without_worker, &S::stop_without_worker,
     kOk, kOk, kNo, kOk,
     kNo, &S::spawn_again, &S::withdraw_overdue, kNo, kNo,
     kNo, kNo, kNo, kNo, kNo, kNo},
    // Draining
    {kNo, kNo, kNo, kOk, &S::died_in_stop, kNo,
     kOk, kNo, kNo,
     kOk, kOk, kOk, kOk,
     &S::cut_drain, &S::cut_drain,
     &S::drained, &S::drained_unconfirmed, kNo, &S::pass_signal_on,
     kNo, kNo, kNo, kNo, kNo,
     &S::cut_drain_leave_first, kNo, kNo, kNo, &S::kill, &S::abandon},
    // LeavingFirst
    {kNo, kNo, kNo, kOk, &S::died_in_stop, kNo,
     kOk, kNo, kNo,
     kOk, kOk, kOk, kOk,
     &S::send_stop_signal, &S::send_stop_signal,
     &S::send_stop_signal, kOk, &S::note_left, &S::pass_signal_on,
     kNo, kNo, kNo, kNo, kNo,
     kNo, &S::send_stop_signal, &S::cut_leave, kNo, &S::kill, &S::abandon},
    // Stopping
    {kNo, &S::stop_late_starter, &S::not_started_in_stop, kOk, &S::stopped, &S::gone_in_stop,
     &S::finish_or_leave, kNo, kNo,
     kOk, kOk, kOk, kOk,
     &S::note_request, &S::note_request,
     kOk, kOk, &S::note_left, &S::pass_signal_on,
     kNo, kNo, kNo, kNo, kNo,
     kNo, kNo, &S::cut_leave, kNo, &S::kill, &S::abandon},
    // Killing
    {kNo, &S::kill_late_starter, &S::not_started_in_stop, kOk, &S::stopped, &S::gone_in_stop,
     &S::finish_or_leave, kNo, kNo,
     kOk, kOk, kOk, kOk,
     &S::note_request, &S::note_request,
     kOk, kOk, &S::note_left, kOk,
     kNo, kNo, kNo, kNo, kNo,
     kNo, kNo, &S::cut_leave, kNo, kOk, &S::abandon},
    // Leaving
    {kNo, &S::kill_late_starter, kOk, kOk, kOk, kOk,
     kOk, kNo, kNo,
     kOk, kOk, kOk, kOk,
     &S::note_request, &S::note_request,
     kOk, kOk, &S::left_last, kOk,
     kNo, kNo, kNo, kNo, kNo,
     kNo, kNo, &S::cut_leave_last, kNo, kNo, &S::abandon},
    // Done
    {kNo, &S::kill_late_starter, kOk, kOk, kOk, kOk,
     kOk, kNo, kNo,
     kOk, kOk, kOk, kOk,
     kOk, kOk,
     kOk, kOk, kOk, kOk,
     kNo, kNo, kNo, kNo, kNo,
     kNo, kNo, kNo, kNo, kNo, kNo},
  }};
  // clang-format on
};

// A row that is too short ends in null. No static_assert: under UBSan g++ 12 does not take the comparison for a
// constant.
bool Supervisor::table_is_complete() {
  for (const Row& row : Table::kActions) {
    if (row.back() == nullptr) return false;
  }
  return true;
}

void Supervisor::happen(Instant now, Event event, SupervisorOutbox& out) {
  input_.event = event;
  const Action action = Table::kActions[index_of(state_)][static_cast<std::size_t>(event)];
  SHOAL_ASSERT(action != nullptr);
  (this->*action)(now, out);
}

}  // namespace shoal::task
