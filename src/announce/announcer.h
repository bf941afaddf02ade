// The task's side of the conversation with every sidecar: says what is so now (ready, unready, departing), to each
// sidecar by itself, until that sidecar has put it into force.
//
// What is said is a *statement*: ready with this port, pool and weight; unready; departing. Each change of it gets the
// next `seq`. A repetition of the same statement, to the same sidecar or to a new one, keeps its generation: so a
// sidecar knows a retry from news and answers both, and a late datagram cannot undo a newer statement.
//
// No answer:   0, 0.5, 1.5, 3.5 s by datagram; 5.5 s by TCP; then, only towards a peer that is not shoal and at most
// four
//              at a time, after a push/pull, then broadcast; then round the same routes, waiting 5 s to 30 s.
// `pending`:   asked again after 250 ms, growing to 2 s.
// Refused:     1 s growing to 10 s; 30 s when somebody has to mend something first. It never ends.
// Departing:   asked again after 50 ms, growing to 500 ms, until `drained`.
// All with jitter. A route that has brought an answer is where the next question to that sidecar begins.
//
// A sidecar says nothing by itself when HAProxy's table changes under it. Who has to know what is so now (`shoal health
// --ready`, `shoal status`) lets the present statement be said once more with `confirm`, and looks at the answers.
//
// A solicit from a shoal sidecar that had accepted us means that it does not know us any more (it was restarted quicker
// than its failure was seen): it is announced to anew.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "announce/announcer_effects.h"
#include "announce/codec.h"
#include "announce/member.h"
#include "announce/messages.h"
#include "base/containers.h"
#include "base/endpoint.h"
#include "base/rng.h"
#include "base/time.h"

namespace shoal::announce {

/// Same contract as every core: `on_*` and commands take an empty outbox and a `now` that never goes back.
class Announcer final {
 public:
  struct Options {
    std::uint64_t start_id = 0;     // Unix milliseconds at the task's start.
    std::size_t sidecars_max = 64;  // Known at once. When full, one that failed or left makes room; else refused, told.
  };
  struct Counters {
    std::uint64_t queries_sent = 0;
    std::uint64_t answers_malformed = 0;   // Did not decode: as if none had come.
    std::uint64_t answers_unexpected = 0;  // To a question long answered or about an older statement: ignored.
    std::uint64_t solicits_malformed = 0;
    std::uint64_t sidecars_refused = 0;
  };
  /// Where the stop stands.
  enum class Drain : std::uint8_t {
    kNotAsked,
    kWaiting,      // Some sidecar has not said `drained` yet.
    kUnreachable,  // A sidecar had accepted us and none is here now: HAProxy may still send. Serve on.
    kDone,
  };

  /// What a sidecar has answered to the present statement.
  enum class Answered : std::uint8_t { kNothing, kPending, kRefused, kAccepted, kDrained };
  /// One sidecar as `shoal status` shows it. Borrowed until the next input.
  struct SidecarView {
    std::string_view name;
    Endpoint gossip;
    MemberStatus status = MemberStatus::kAlive;
    Answered answered = Answered::kNothing;
    Reason reason = Reason::kNone;  // With kPending, kRefused.
    std::string_view reason_text;
    std::string_view server;  // In HAProxy; empty until told.
    std::uint32_t proxies_up = 0;
    std::uint32_t proxies_total = 0;
    std::uint32_t proxies_in_rotation = 0;
    std::uint32_t in_flight = 0;   // Departing.
    Instant answered_at = kNever;  // The last answer; kNever = none in this life of it.
    std::uint32_t unanswered = 0;  // Questions since.
  };

  Announcer(const Options& options, Rng rng, Instant now);

  /// A member with role sidecar, at each change of its status or address. `is_shoal`: it understands shoal's own
  /// fields.
  void on_sidecar(Instant now, std::string_view name, const Endpoint& gossip, MemberStatus status, bool is_shoal,
                  AnnouncerOutbox& out);
  void on_response(Instant now, std::uint64_t token, std::string_view from, Bytes payload, AnnouncerOutbox& out);
  /// The query could not even be sent (a TCP connection refused): goes on to the next route sooner.
  void on_send_failed(Instant now, std::uint64_t token, AnnouncerOutbox& out);
  /// Always answered, with the present statement; before there is one with port 0 and "unready".
  void on_solicit(Instant now, std::uint64_t query_ref, std::string_view from, Bytes payload, AnnouncerOutbox& out);
  void on_deadline(Instant now, AnnouncerOutbox& out);

  /// `what`: port, pool and weight; the rest is filled in here. Saying what is already said changes nothing.
  /// Once departing for good it is ignored: such a depart is final for its start.
  void set_ready(Instant now, const Announcement& what, AnnouncerOutbox& out);
  /// Says the present statement once more to everybody: this node has got another name.
  void repeat(Instant now, AnnouncerOutbox& out);
  /// Withdraws without leaving. Nothing is sent when nothing had been announced.
  void set_unready(Instant now, AnnouncerOutbox& out);
  /// Out of rotation, everywhere. `timeout` tells the sidecars how long the drain may take. When nothing had been
  /// announced, or nobody is there and nobody had accepted us, AllDrained comes with this very call. With
  /// `returns` (a worker's renewal, another pool) the next set_ready announces this start again.
  void depart(Instant now, Duration timeout, AnnouncerOutbox& out, bool returns = false);

  /// Ready: asks every sidecar once more that has not answered since `since` and is not being asked already.
  void confirm(Instant now, Instant since, AnnouncerOutbox& out);
  /// Every sidecar that is here has answered since then. True while there is nothing to ask.
  [[nodiscard]] bool is_confirmed(Instant since) const;
  /// HAProxy processes that have us in rotation, as the sidecars that are here said last, and since `since` at the
  /// earliest. A sidecar that tells no number counts as one. 0 while departing.
  [[nodiscard]] std::uint32_t proxies_in_rotation(Instant since = Instant{}) const;

  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] Drain drain() const;
  [[nodiscard]] std::size_t sidecars_here() const;
  /// Sidecars that are here and have the present statement in force: for "ready", in rotation there.
  [[nodiscard]] std::size_t sidecars_accepted() const;
  /// What a drain that is cut short now leaves behind, of the sidecars that have not said `drained`: the requests that
  /// they counted in their last answers, and how many of them have not answered at all.
  struct InFlight {
    std::uint64_t requests = 0;
    std::size_t sidecars_silent = 0;
  };
  [[nodiscard]] InFlight in_flight() const;
  /// Some sidecar has had us in rotation at some time.
  [[nodiscard]] bool was_accepted() const { return was_accepted_; }
  /// Calls `visit(const SidecarView&)` for each sidecar that is known.
  template <typename Visit>
  void each_sidecar(Visit&& visit) const {
    for (const Sidecar& sidecar : sidecars_) visit(view_of(sidecar));
  }
  [[nodiscard]] Generation generation() const { return what_.generation; }
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  enum class Statement : std::uint8_t { kNothing, kReady, kUnready, kDeparting };
  struct Asked {
    std::uint64_t token = 0;
    Route route = Route::kDirectUdp;
  };
  struct Sidecar {
    NodeName name;
    Endpoint gossip;
    MemberStatus status = MemberStatus::kAlive;
    Instant status_since{};
    bool is_shoal = false;
    bool had_us = false;    // Has had us in rotation in this life of it.
    bool accepted = false;  // The present statement.
    bool drained = false;
    bool gave_up = false;          // Counts no longer for the drain.
    bool starts_with_tcp = false;  // Datagrams brought nothing, TCP did.
    Instant next_try = kNever;
    std::uint32_t unanswered = 0;     // Tries since the last answer; the place in the ladder of routes.
    std::uint32_t tries = 0;          // Of the present statement.
    std::uint32_t backoff_steps = 0;  // Answers of the same kind in a row.
    std::uint64_t last_refusal = 0;   // Hash of the refusal told last; 0 = none.
    InlineVector<Asked, 8> asked;     // The last questions about the present statement, oldest first.

    // What it said last, for those who look.
    Instant answered_at = kNever;  // kNever = nothing in this life of it.
    Answered answered = Answered::kNothing;
    Reason reason = Reason::kNone;
    ReasonText reason_text;
    ServerName server;
    std::uint32_t proxies_up = 0;
    std::uint32_t proxies_total = 0;
    std::uint32_t proxies_in_rotation = 0;
    std::optional<std::uint32_t> in_flight;  // Of the present depart; not set: it has not answered that.
  };

  void say(Instant now, AnnouncerOutbox& out);
  void begin(Instant now, Sidecar& sidecar, AnnouncerOutbox& out);
  void ask(Instant now, Sidecar& sidecar, AnnouncerOutbox& out);
  void ask_again_in(Instant now, Sidecar& sidecar, Duration wait);
  void on_announce_answer(Instant now, Sidecar& sidecar, const AnnounceAnswer& answer, AnnouncerOutbox& out);
  void on_depart_answer(Instant now, Sidecar& sidecar, const DepartAnswer& answer, AnnouncerOutbox& out);
  template <typename AnyAnswer>
  void keep(Instant now, Sidecar& sidecar, const AnyAnswer& answer);
  [[nodiscard]] static SidecarView view_of(const Sidecar& sidecar);
  void refused(Instant now, Sidecar& sidecar, Reason reason, const ReasonText& text, AnnouncerOutbox& out);
  void judge_drain(Instant now, AnnouncerOutbox& out);
  void notice_no_sidecar(AnnouncerOutbox& out);
  [[nodiscard]] Route route_of(const Sidecar& sidecar) const;
  [[nodiscard]] Duration wait_of(const Sidecar& sidecar) const;
  [[nodiscard]] bool still_counts(Instant now, const Sidecar& sidecar) const;
  [[nodiscard]] Instant counts_until(const Sidecar& sidecar) const;
  [[nodiscard]] std::size_t push_pulls_under_way(Instant now) const;
  Sidecar* find(std::string_view name);
  Sidecar* make_room_for(std::string_view name, AnnouncerOutbox& out);
  void tick(Instant now, const AnnouncerOutbox& out);

  Options options_;
  Rng rng_;
  Instant now_;
  Statement statement_ = Statement::kNothing;
  Announcement what_;  // As said last; its generation is the present one.
  bool was_announced_ = false;
  bool was_accepted_ = false;
  bool lost_one_ = false;  // A sidecar that had us was forgotten without a word about the drain.
  bool no_sidecar_told_ = false;
  bool all_drained_ = false;
  Instant departing_since_{};
  Duration depart_timeout_{};
  bool returns_ = false;  // With kDeparting: not for good.
  std::uint64_t next_token_ = 1;
  FixedVector<Sidecar> sidecars_;
  Counters counters_;
};

}  // namespace shoal::announce
