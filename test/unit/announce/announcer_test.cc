#include "announce/announcer.h"

#include <doctest/doctest.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace shoal::announce {
namespace {

constexpr std::uint64_t kStart = 1'700'000'000'000;

Endpoint gossip(std::uint8_t host) { return {IpAddress::v4(10, 0, 0, host), 7946}; }

Announcement web(std::uint16_t port = 8080) {
  Announcement what;
  what.port = port;
  what.pool = PoolName("web");
  return what;
}

AnnounceAnswer yes() {
  AnnounceAnswer a;
  a.accepted = true;
  return a;
}
AnnounceAnswer not_yet() {
  AnnounceAnswer a;
  a.pending = true;
  return a;
}
AnnounceAnswer no(Reason reason, std::string_view text) {
  AnnounceAnswer a;
  a.reason = reason;
  a.reason_text = ReasonText(text);
  return a;
}
DepartAnswer out_of_rotation(std::uint32_t in_flight) {
  DepartAnswer a;
  a.accepted = true;
  a.in_flight = in_flight;
  a.drained = in_flight == 0;
  return a;
}

/// A query as it was sent; its payload copied.
struct Sent {
  Instant at{};
  std::uint64_t token = 0;
  std::string sidecar;
  std::string query;
  Route route = Route::kDirectUdp;
  std::vector<std::uint8_t> payload;

  Announcement announcement() const {
    const auto said = decode_announcement(payload);
    REQUIRE(said.has_value());
    return *said;
  }
  Departure departure() const {
    const auto said = decode_departure(payload);
    REQUIRE(said.has_value());
    return *said;
  }
};

struct Trace {
  explicit Trace(Announcer::Options options = {.start_id = kStart})
      : announcer(options, Rng(7), Instant{}), out(options.sidecars_max) {}

  Instant now{};
  Announcer announcer;
  AnnouncerOutbox out;
  std::vector<Sent> sent;
  std::string events;  // As words.
  std::vector<std::pair<std::uint64_t, Announcement>> solicited;

  void say(const std::string& word) { events += (events.empty() ? "" : ", ") + word; }
  static std::string name(const NodeName& n) { return std::string(n.view()); }

  void drain() {
    for (const AnnouncerEffect& effect : out.effects()) {
      if (const auto* q = std::get_if<SendQuery>(&effect)) {
        CHECK(q->timeout == 5s);
        sent.push_back(
            {now, q->token, name(q->sidecar), std::string(q->query), q->route, {q->payload.begin(), q->payload.end()}});
      }
      if (const auto* a = std::get_if<AnswerSolicit>(&effect)) {
        const auto said = decode_announcement(a->payload);
        REQUIRE(said.has_value());
        solicited.emplace_back(a->query_ref, *said);
      }
      if (const auto* e = std::get_if<Accepted>(&effect)) say("accepted " + name(e->sidecar));
      if (const auto* e = std::get_if<Refused>(&effect))
        say("refused " + name(e->sidecar) + ": " + std::string(e->text.view()));
      if (const auto* e = std::get_if<Pending>(&effect))
        say("pending " + name(e->sidecar) + ": " + std::string(e->text.view()));
      if (const auto* e = std::get_if<Departed>(&effect))
        say("departed " + name(e->sidecar) + " with " + std::to_string(e->in_flight));
      if (const auto* e = std::get_if<Drained>(&effect)) say("drained " + name(e->sidecar));
      if (const auto* e = std::get_if<NotDrained>(&effect)) say("not drained " + name(e->sidecar));
      if (const auto* e = std::get_if<AllDrained>(&effect))
        say(e->confirmed ? "all drained" : "all drained, unconfirmed");
      if (std::holds_alternative<NoSidecar>(effect)) say("no sidecar");
      if (const auto* none = std::get_if<NoAnswer>(&effect)) say("no answer " + std::string(none->sidecar.view()));
      if (std::holds_alternative<SidecarTableFull>(effect)) say("table full");
    }
    out.clear();
  }
  std::string take() {
    std::string taken;
    taken.swap(events);
    return taken;
  }
  /// The queries sent since the last question.
  std::vector<Sent> take_sent() {
    std::vector<Sent> taken;
    taken.swap(sent);
    return taken;
  }
  Sent take_one() {
    const std::vector<Sent> taken = take_sent();
    REQUIRE(taken.size() == 1);
    return taken[0];
  }

  void sidecar(const std::string& n, MemberStatus status = MemberStatus::kAlive, bool is_shoal = true,
               std::uint8_t host = 1) {
    announcer.on_sidecar(now, n, gossip(host), status, is_shoal, out);
    drain();
  }
  void ready(const Announcement& what = web()) { announcer.set_ready(now, what, out), drain(); }
  void depart(Duration timeout = 20s) { announcer.depart(now, timeout, out), drain(); }
  void depart_for_a_while() { announcer.depart(now, 20s, out, true), drain(); }
  template <typename AnyAnswer>
  void answer(const Sent& to, const AnyAnswer& answer, const std::string& from = "") {
    std::array<std::uint8_t, kPayloadBytesMax> memory{};
    announcer.on_response(now, to.token, from.empty() ? to.sidecar : from, encode(answer, memory), out);
    drain();
  }
  void solicit(std::uint64_t ref, const std::string& from, std::uint64_t nonce) {
    std::array<std::uint8_t, kPayloadBytesMax> memory{};
    announcer.on_solicit(now, ref, from, encode(Solicitation{nonce}, memory), out);
    drain();
  }
  void after(Duration d) {
    const Instant until = now + d;
    while (announcer.next_deadline() <= until) {
      now = std::max(now, announcer.next_deadline());
      announcer.on_deadline(now, out);
      drain();
      REQUIRE(announcer.next_deadline() > now);
    }
    now = until;
  }
  /// Waits for the next query and gives how long that took.
  Duration until_next_query() {
    const Instant from = now;
    sent.clear();
    while (sent.empty()) {
      REQUIRE(announcer.next_deadline() != kNever);
      now = std::max(now, announcer.next_deadline());
      announcer.on_deadline(now, out);
      drain();
    }
    return now - from;
  }
};

bool about(Duration d, Duration wanted) { return d >= wanted * 3 / 4 && d <= wanted * 5 / 4; }

/// Ready, and accepted by shoal sidecars a, b ... so many.
void serve(Trace& t, int sidecars) {
  for (int i = 0; i < sidecars; ++i)
    t.sidecar(std::string(1, static_cast<char>('a' + i)), MemberStatus::kAlive, true, static_cast<std::uint8_t>(i + 1));
  t.ready();
  for (const Sent& q : t.take_sent()) t.answer(q, yes());
  t.take();
  REQUIRE(t.announcer.sidecars_accepted() == static_cast<std::size_t>(sidecars));
}

}  // namespace

TEST_CASE("being ready is announced to every sidecar, and at once to one that appears later") {
  Trace t;
  t.sidecar("a");
  t.sidecar("b", MemberStatus::kSuspect, true, 2);
  CHECK(t.sent.empty());  // Nothing to say yet.
  t.ready();
  const auto first = t.take_sent();
  REQUIRE(first.size() == 2);
  CHECK(first[0].sidecar == "a");
  CHECK(first[1].sidecar == "b");
  CHECK(first[0].query == "announce");
  CHECK(first[0].route == Route::kDirectUdp);
  const Announcement said = first[0].announcement();
  CHECK(said.port == 8080);
  CHECK(said.pool == "web");
  CHECK(said.state == TaskState::kReady);
  CHECK(said.generation == Generation{kStart, 1});
  t.sidecar("c", MemberStatus::kAlive, true, 3);
  CHECK(t.take_one().announcement().generation == Generation{kStart, 1});
}

TEST_CASE("once accepted nothing more is sent") {
  Trace t;
  t.sidecar("a");
  t.ready();
  t.answer(t.take_one(), yes());
  CHECK(t.take() == "accepted a");
  CHECK(t.announcer.next_deadline() == kNever);
  CHECK(t.announcer.sidecars_accepted() == 1);
  CHECK(t.announcer.was_accepted());
}

TEST_CASE("HAProxies are counted as the sidecars say, one that tells no number as one, and none of who is gone") {
  Trace t;
  const auto count = [&] { return t.announcer.proxies_in_rotation(); };
  t.sidecar("a");
  t.sidecar("b", MemberStatus::kAlive, true, 2);
  t.sidecar("go", MemberStatus::kAlive, false, 3);
  t.ready();
  const auto asked = t.take_sent();
  REQUIRE(asked.size() == 3);
  AnnounceAnswer three = yes();
  three.proxies_up = three.proxies_in_rotation = 3;
  t.answer(asked[0], three);
  CHECK(count() == 3);
  AnnounceAnswer half = no(Reason::kFix, "no backend");  // One of two has it.
  half.proxies_up = 2;
  half.proxies_in_rotation = 1;
  t.answer(asked[1], half);
  CHECK(count() == 4);
  t.answer(asked[2], yes());
  CHECK(count() == 5);
  t.sidecar("a", MemberStatus::kFailed);
  CHECK(count() == 2);
  t.sidecar("a");  // Back, and has not said anything yet.
  CHECK(count() == 2);
  AnnounceAnswer too_many = yes();
  too_many.proxies_in_rotation = UINT32_MAX;
  t.answer(t.take_one(), too_many);
  CHECK(count() < 5000);
  t.depart();
  CHECK(count() == 0);
}

TEST_CASE("who has to know what is so now asks again, and hears that HAProxy has lost us") {
  Trace t;
  serve(t, 2);
  t.after(1min);
  CHECK(t.announcer.is_confirmed(Instant{}));
  const Instant since = t.now;
  const auto confirm = [&] { t.announcer.confirm(t.now, since, t.out), t.drain(); };
  CHECK_FALSE(t.announcer.is_confirmed(since));
  CHECK(t.announcer.proxies_in_rotation(since) == 0);
  CHECK(t.announcer.proxies_in_rotation() == 2);
  confirm();
  const auto asked = t.take_sent();
  REQUIRE(asked.size() == 2);
  CHECK(asked[0].announcement().generation == Generation{kStart, 1});  // No news.
  confirm();
  CHECK(t.take_sent().empty());  // They are being asked.
  t.answer(asked[0], yes());
  CHECK_FALSE(t.announcer.is_confirmed(since));
  CHECK(t.announcer.proxies_in_rotation(since) == 1);
  t.answer(asked[1], no(Reason::kRetry, "HAProxy is away"));
  CHECK(t.announcer.is_confirmed(since));
  CHECK(t.announcer.proxies_in_rotation() == 1);
  CHECK(t.announcer.sidecars_accepted() == 1);
  CHECK(t.take() == "refused b: HAProxy is away");
  confirm();
  CHECK(t.take_sent().empty());  // They have just said it.
  CHECK(about(t.until_next_query(), 1s));
  t.answer(t.take_one(), yes());
  CHECK(t.take() == "accepted b");
  t.depart();
  t.take_sent();
  confirm();
  CHECK(t.take_sent().empty());
  CHECK(t.announcer.is_confirmed(t.now));
}

TEST_CASE("a sidecar is shown with what it said last") {
  Trace t;
  const auto shown = [&](const std::string& name) {
    Announcer::SidecarView out;
    t.announcer.each_sidecar([&](const Announcer::SidecarView& view) {
      if (view.name == name) out = view;
    });
    return out;
  };
  t.sidecar("a");
  t.ready();
  CHECK(shown("a").answered == Announcer::Answered::kNothing);
  CHECK(shown("a").answered_at == kNever);
  CHECK(shown("a").unanswered == 1);
  t.now += 3ms;
  t.answer(t.take_one(), no(Reason::kFix, "no backend"));
  CHECK(shown("a").answered == Announcer::Answered::kRefused);
  CHECK(shown("a").reason == Reason::kFix);
  CHECK(shown("a").reason_text == "no backend");
  CHECK(shown("a").answered_at == t.now);
  t.until_next_query();
  AnnounceAnswer accepted = yes();
  accepted.server = ServerName("shoal-t-1");
  accepted.proxies_up = accepted.proxies_total = accepted.proxies_in_rotation = 2;
  t.answer(t.take_one(), accepted);
  CHECK(shown("a").answered == Announcer::Answered::kAccepted);
  CHECK(shown("a").reason_text.empty());
  CHECK(shown("a").server == "shoal-t-1");
  CHECK(shown("a").proxies_in_rotation == 2);
  t.depart();
  CHECK(shown("a").answered == Announcer::Answered::kNothing);
  t.answer(t.take_one(), out_of_rotation(4));
  CHECK(shown("a").in_flight == 4);
  CHECK(shown("a").server == "shoal-t-1");
  t.until_next_query();
  t.answer(t.take_one(), out_of_rotation(0));
  CHECK(shown("a").answered == Announcer::Answered::kDrained);
}

TEST_CASE("without an answer a shoal sidecar is tried by datagram, then by TCP, then both in turn up to 30 s apart") {
  Trace t;
  t.sidecar("a");
  t.ready();
  CHECK(t.take_one().route == Route::kDirectUdp);
  const Duration waits[] = {500ms, 1s, 2s, 2s, 5s, 5s, 10s, 20s, 30s, 30s};
  const Route routes[] = {Route::kDirectUdp, Route::kDirectUdp, Route::kDirectUdp, Route::kDirectTcp,
                          Route::kDirectUdp, Route::kDirectTcp, Route::kDirectUdp, Route::kDirectTcp,
                          Route::kDirectUdp, Route::kDirectTcp};
  for (std::size_t i = 0; i < std::size(waits); ++i) {
    CAPTURE(i);
    CHECK(about(t.until_next_query(), waits[i]));
    CHECK(t.sent[0].route == routes[i]);
    CHECK(t.sent[0].announcement().generation == Generation{kStart, 1});  // A retry is no news.
    // Said once, when the datagrams and TCP have brought nothing.
    CHECK(t.take() == (i == 4 ? "no answer a" : ""));
  }
}

TEST_CASE("a peer that is not shoal also gets a push/pull and a broadcast") {
  Trace t;
  t.sidecar("go", MemberStatus::kAlive, false);
  t.ready();
  std::vector<Route> routes;
  for (int i = 0; i < 8; ++i) {
    t.until_next_query();
    routes.push_back(t.sent[0].route);
  }
  CHECK(routes == std::vector<Route>{Route::kDirectUdp, Route::kDirectUdp, Route::kDirectUdp, Route::kDirectTcp,
                                     Route::kPushPullThenUdp, Route::kBroadcast, Route::kDirectUdp, Route::kDirectTcp});
}

TEST_CASE("at most four push/pulls are under way at a time") {
  Trace t;
  for (int i = 0; i < 12; ++i)
    t.sidecar("go" + std::to_string(i), MemberStatus::kAlive, false, static_cast<std::uint8_t>(i + 1));
  t.ready();
  t.after(60s);
  std::vector<Instant> push_pulls;
  for (const Sent& q : t.take_sent()) {
    if (q.route == Route::kPushPullThenUdp) push_pulls.push_back(q.at);
  }
  CHECK(push_pulls.size() >= 12);
  for (std::size_t i = 4; i < push_pulls.size(); ++i) CHECK(push_pulls[i] - push_pulls[i - 4] >= 3750ms);
}

TEST_CASE("a Go sidecar accepts with one bare field, to any of the tries") {
  Trace t;
  t.sidecar("go", MemberStatus::kAlive, false);
  t.ready();
  const Sent first = t.take_one();
  t.after(2s);
  constexpr std::array<std::uint8_t, 2> kAccepted = {0x08, 0x01};
  t.announcer.on_response(t.now, first.token, "go", kAccepted, t.out);
  t.drain();
  CHECK(t.take() == "accepted go");
  CHECK(t.announcer.next_deadline() == kNever);
}

TEST_CASE("pending is asked again after 250 ms, growing to 2 s") {
  Trace t;
  t.sidecar("a");
  t.ready();
  for (const Duration wait : {250ms, 500ms, 1000ms, 2000ms, 2000ms}) {
    t.answer(t.take_one(), not_yet());
    CHECK(about(t.until_next_query(), wait));
  }
  t.answer(t.take_one(), yes());
  CHECK(t.take() == "accepted a");
}

TEST_CASE("what a pending one waits for is told once for each reason") {
  Trace t;
  t.sidecar("a");
  t.ready();
  for (const std::string_view why : {"its check", "its check", "", "its check", "the solicit"}) {
    AnnounceAnswer answer = not_yet();
    answer.reason_text = ReasonText(why);
    t.answer(t.take_one(), answer);
    static_cast<void>(t.until_next_query());
  }
  CHECK(t.take() == "pending a: its check, pending a: its check, pending a: the solicit");
}

TEST_CASE("a refusal that mends itself is retried after 1 s growing to 10 s, told once, and never ends") {
  Trace t;
  t.sidecar("a");
  t.ready();
  for (const Duration wait : {1s, 2s, 4s, 8s, 10s, 10s, 10s}) {
    t.answer(t.take_one(), no(Reason::kRetry, "HAProxy is not connected"));
    CHECK(about(t.until_next_query(), wait));
  }
  CHECK(t.take() == "refused a: HAProxy is not connected");
}

TEST_CASE("a refusal that needs a fix is retried every 30 s, and another reason is told again") {
  Trace t;
  t.sidecar("a");
  t.ready();
  for (int i = 0; i < 3; ++i) {
    t.answer(t.take_one(), no(Reason::kFix, "no such backend: web"));
    CHECK(about(t.until_next_query(), 30s));
  }
  t.answer(t.take_one(), no(Reason::kFix, "10.0.0.9:8080 cannot be reached"));
  CHECK(t.take() == "refused a: no such backend: web, refused a: 10.0.0.9:8080 cannot be reached");
  t.until_next_query();
  t.answer(t.take_one(), yes());
  CHECK(t.take() == "accepted a");
}

TEST_CASE("only a change of what is said is a new generation, and it goes to everybody") {
  Trace t;
  serve(t, 2);
  t.ready();  // Said already.
  CHECK(t.sent.empty());
  t.ready(web(9090));
  auto sent = t.take_sent();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].announcement().generation.seq == 2);
  CHECK(sent[0].announcement().port == 9090);
  CHECK(t.announcer.sidecars_accepted() == 0);
  t.announcer.set_unready(t.now, t.out);
  t.drain();
  sent = t.take_sent();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].announcement().generation.seq == 3);
  CHECK(sent[0].announcement().state == TaskState::kUnready);
  t.ready(web(9090));
  CHECK(t.take_sent()[0].announcement().generation.seq == 4);
  t.depart();
  CHECK(t.take_sent()[0].departure().generation == Generation{kStart, 5});
}

TEST_CASE("an answer about an older statement, from somebody else or damaged changes nothing") {
  Trace t;
  t.sidecar("a");
  t.sidecar("b", MemberStatus::kAlive, true, 2);
  t.ready();
  const Sent old = t.take_sent()[0];
  t.ready(web(9090));
  const Sent current = t.take_sent()[0];
  t.answer(old, yes());
  t.answer(current, yes(), "b");
  t.answer(current, yes(), "nobody");
  CHECK(t.announcer.counters().answers_unexpected == 3);
  constexpr std::array<std::uint8_t, 2> kDamaged = {0x12, 0x7f};
  t.announcer.on_response(t.now, current.token, "a", kDamaged, t.out);
  t.drain();
  CHECK(t.announcer.counters().answers_malformed == 1);
  CHECK(t.take() == "");
  CHECK(t.announcer.sidecars_accepted() == 0);
}

TEST_CASE("a sidecar that fails is left alone, and announced to anew when it returns") {
  Trace t;
  serve(t, 1);
  t.sidecar("a", MemberStatus::kFailed);
  CHECK(t.take() == "no sidecar");
  CHECK(t.announcer.next_deadline() == kNever);
  CHECK(t.announcer.sidecars_here() == 0);
  t.after(5s);
  t.sidecar("a");
  CHECK(t.announcer.sidecars_accepted() == 0);
  CHECK(t.take_one().announcement().generation == Generation{kStart, 1});
}

TEST_CASE("a sidecar that moved is announced to anew; suspicion alone changes nothing") {
  Trace t;
  serve(t, 1);
  t.sidecar("a", MemberStatus::kSuspect);
  t.sidecar("a", MemberStatus::kAlive);
  CHECK(t.sent.empty());
  CHECK(t.announcer.sidecars_accepted() == 1);
  t.sidecar("a", MemberStatus::kAlive, true, 9);
  CHECK(t.take_one().sidecar == "a");
}

TEST_CASE("a solicit is answered with the present statement and its nonce") {
  Trace t;
  t.sidecar("a");
  t.solicit(5, "a", 99);
  REQUIRE(t.solicited.size() == 1);
  CHECK(t.solicited[0].first == 5);
  CHECK(t.solicited[0].second.port == 0);  // Nothing to announce yet.
  CHECK(t.solicited[0].second.state == TaskState::kUnready);
  CHECK(t.solicited[0].second.nonce == 99);
  t.ready();
  t.solicit(6, "stranger", 100);
  CHECK(t.solicited[1].second.port == 8080);
  CHECK(t.solicited[1].second.state == TaskState::kReady);
  CHECK(t.solicited[1].second.generation == Generation{kStart, 1});
  CHECK(t.solicited[1].second.nonce == 100);
  t.depart();
  t.solicit(7, "a", 101);
  CHECK(t.solicited[2].second.state == TaskState::kDeparting);
}

TEST_CASE(
    "a solicit from a shoal sidecar that had accepted us is followed by an announcement, one from a Go peer is not") {
  Trace t;
  serve(t, 1);
  t.sidecar("go", MemberStatus::kAlive, false, 2);
  t.answer(t.take_one(), yes());
  t.take();
  t.solicit(1, "go", 0);
  CHECK(t.sent.empty());
  t.solicit(2, "a", 5);
  const Sent again = t.take_one();
  CHECK(again.sidecar == "a");
  CHECK(t.announcer.sidecars_accepted() == 2);  // Nothing is known to be wrong yet.
  t.answer(again, yes());
  CHECK(t.take() == "");
  CHECK(t.announcer.next_deadline() == kNever);
  t.solicit(3, "a", 6);
  t.answer(t.take_one(), no(Reason::kFix, "no such backend"));
  CHECK(t.take() == "refused a: no such backend");
  CHECK(t.announcer.sidecars_accepted() == 1);
}

TEST_CASE("a route that brought the answer is where the next question begins") {
  Trace t;
  t.sidecar("a");
  t.ready();
  while (t.sent.empty() || t.sent[0].route != Route::kDirectTcp) t.until_next_query();
  t.answer(t.take_one(), yes());
  t.depart();
  CHECK(t.take_one().route == Route::kDirectTcp);
}

TEST_CASE("a query that could not be sent is tried on the next route sooner") {
  Trace t;
  t.sidecar("a");
  t.ready();
  while (t.sent.empty() || t.sent[0].route != Route::kDirectTcp) t.until_next_query();
  const Sent tcp = t.take_one();
  t.announcer.on_send_failed(t.now, tcp.token, t.out);
  CHECK(t.announcer.next_deadline() - t.now <= 500ms);
  t.announcer.on_send_failed(t.now, 12345, t.out);  // Nobody's.
}

TEST_CASE("a drain ends when every sidecar has said so") {
  Trace t;
  serve(t, 2);
  t.depart(20s);
  const auto sent = t.take_sent();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].query == "depart");
  CHECK(sent[0].departure().timeout_seconds == 20);
  CHECK(sent[0].departure().port == 8080);
  CHECK(sent[0].departure().pool == "web");
  CHECK(t.announcer.drain() == Announcer::Drain::kWaiting);
  CHECK(t.announcer.in_flight().sidecars_silent == 2);
  t.answer(sent[0], out_of_rotation(0));
  CHECK(t.take() == "drained a");
  CHECK(t.announcer.in_flight().sidecars_silent == 1);
  t.answer(sent[1], out_of_rotation(3));
  CHECK(t.take() == "departed b with 3");
  CHECK(t.announcer.in_flight().sidecars_silent == 0);
  CHECK(t.announcer.in_flight().requests == 3);
  for (const Duration wait : {50ms, 100ms, 200ms, 400ms, 500ms, 500ms}) {
    CHECK(about(t.until_next_query(), wait));
    CHECK(t.sent[0].sidecar == "b");
    t.answer(t.take_one(), out_of_rotation(1));
  }
  CHECK(t.take() == "");
  CHECK(t.announcer.in_flight().requests == 1);
  t.until_next_query();
  t.answer(t.take_one(), out_of_rotation(0));
  CHECK(t.take() == "drained b, all drained");
  CHECK(t.announcer.in_flight().requests == 0);
  CHECK(t.announcer.drain() == Announcer::Drain::kDone);
  CHECK(t.announcer.next_deadline() == kNever);
}

TEST_CASE("there is nothing to drain when nothing was announced or nobody is there") {
  SUBCASE("never ready") {
    Trace t;
    t.sidecar("a");
    t.depart();
    CHECK(t.take() == "all drained");
    CHECK(t.sent.empty());
  }
  SUBCASE("ready, and no sidecar ever") {
    Trace t;
    t.ready();
    CHECK(t.take() == "no sidecar");
    t.depart();
    CHECK(t.take() == "all drained");
  }
  SUBCASE("ready, and the only sidecar failed before it had accepted us") {
    Trace t;
    t.sidecar("a");
    t.ready();
    t.sidecar("a", MemberStatus::kFailed);
    t.take();
    t.depart();
    CHECK(t.take() == "all drained");
  }
}

TEST_CASE("an announcement under way is not departed from behind its back") {
  Trace t;
  t.sidecar("a");
  t.ready();
  t.take_sent();
  t.depart();  // It may be adding us right now.
  CHECK(t.take_one().query == "depart");
  CHECK(t.announcer.drain() == Announcer::Drain::kWaiting);
  CHECK(t.take() == "");
}

TEST_CASE("a Go sidecar gets three tries and leaves the drain unconfirmed") {
  Trace t;
  t.sidecar("go", MemberStatus::kAlive, false);
  t.ready();
  t.answer(t.take_one(), yes());
  t.take();
  t.depart();
  const Instant began = t.now;
  t.after(10s);
  CHECK(t.take_sent().size() == 3);
  CHECK(t.take() == "not drained go, all drained, unconfirmed");
  CHECK(t.announcer.next_deadline() == kNever);
  CHECK(began + 10s == t.now);
}

TEST_CASE("a suspect sidecar counts for the whole drain") {
  Trace t;
  serve(t, 1);
  t.sidecar("a", MemberStatus::kSuspect);
  t.depart();
  t.after(19s);
  CHECK(t.announcer.drain() == Announcer::Drain::kWaiting);
  CHECK(t.take() == "");
}

TEST_CASE("a sidecar that had us and failed lately counts for 10 s, its address being tried") {
  Trace t;
  serve(t, 2);
  t.sidecar("b", MemberStatus::kFailed, true, 2);
  t.after(30s);
  t.depart();
  t.answer(t.take_one(), out_of_rotation(0));
  CHECK(t.take() == "drained a");
  t.after(9900ms);
  CHECK(t.announcer.drain() == Announcer::Drain::kWaiting);
  const auto tries = t.take_sent();
  CHECK(tries.size() >= 3);
  for (const Sent& q : tries) {
    CHECK(q.sidecar == "b");
    CHECK(q.route == Route::kPushPullThenUdp);
  }
  t.after(200ms);
  CHECK(t.take() == "not drained b, all drained");
}

TEST_CASE("a sidecar that fails during the drain counts for 10 s more") {
  Trace t;
  serve(t, 2);
  t.depart();
  t.answer(t.take_sent()[0], out_of_rotation(0));
  t.after(5s);
  t.sidecar("b", MemberStatus::kFailed, true, 2);
  t.after(9900ms);
  CHECK(t.take() == "drained a");
  t.after(200ms);
  CHECK(t.take() == "not drained b, all drained");
}

TEST_CASE("a sidecar that failed over a minute ago, or left, counts no more while another is here") {
  Trace t;
  serve(t, 3);
  t.sidecar("b", MemberStatus::kFailed, true, 2);
  t.after(61s);
  t.sidecar("c", MemberStatus::kLeft, true, 3);
  t.depart();
  t.take();
  t.answer(t.take_one(), out_of_rotation(0));
  CHECK(t.take() == "drained a, all drained");
}

TEST_CASE("while no sidecar is reachable although one had accepted us the drain does not end") {
  for (const MemberStatus status : {MemberStatus::kFailed, MemberStatus::kLeft, MemberStatus::kReaped}) {
    CAPTURE(static_cast<int>(status));
    Trace t;
    serve(t, 1);
    t.sidecar("a", status);
    t.take();
    t.after(70s);
    t.depart();
    t.after(60s);
    CHECK(t.announcer.drain() == Announcer::Drain::kUnreachable);
    CHECK(t.take().find("all drained") == std::string::npos);
    // A successor comes: it is departed from, and its word ends the drain.
    t.sidecar("successor", MemberStatus::kAlive, true, 9);
    t.answer(t.take_sent().back(), out_of_rotation(0));
    CHECK(t.take().find("drained successor, all drained") != std::string::npos);
  }
}

TEST_CASE("a depart for a while ends with the next ready, or with a depart for good") {
  Trace t;
  serve(t, 1);
  t.depart_for_a_while();
  const Sent first = t.take_one();
  const auto said = decode_departure(first.payload);
  REQUIRE(said.has_value());
  CHECK(said->returns);
  CHECK(said->generation.seq == 2);
  t.depart_for_a_while();  // It is said already.
  CHECK(t.sent.empty());
  t.solicit(7, "a", 99);  // "departing" would be this start's last word.
  REQUIRE(t.solicited.size() == 1);
  CHECK(t.solicited[0].second.state == TaskState::kUnready);
  t.answer(first, out_of_rotation(0));
  t.ready(web(9090));
  const auto again = decode_announcement(t.take_one().payload);
  REQUIRE(again.has_value());
  CHECK(again->state == TaskState::kReady);
  CHECK(again->generation.seq == 3);
  t.depart_for_a_while();
  t.take_sent();
  t.depart();
  const auto last = decode_departure(t.take_one().payload);
  REQUIRE(last.has_value());
  CHECK(!last->returns);
  CHECK(last->generation.seq == 5);
  t.ready(web(9090));
  CHECK(t.sent.empty());
}

TEST_CASE("a depart is final") {
  Trace t;
  serve(t, 1);
  t.depart();
  t.answer(t.take_one(), out_of_rotation(0));
  t.ready(web(9090));
  t.announcer.set_unready(t.now, t.out);
  t.drain();
  CHECK(t.sent.empty());
  CHECK(t.announcer.generation().seq == 2);
}

TEST_CASE("a full table makes room for a new sidecar with one that failed, else refuses it") {
  Trace t({.start_id = kStart, .sidecars_max = 2});
  t.sidecar("a");
  t.sidecar("b", MemberStatus::kAlive, true, 2);
  t.sidecar("c", MemberStatus::kAlive, true, 3);
  CHECK(t.take() == "table full");
  CHECK(t.announcer.counters().sidecars_refused == 1);
  t.sidecar("a", MemberStatus::kFailed);
  t.sidecar("c", MemberStatus::kAlive, true, 3);
  CHECK(t.take() == "");
  CHECK(t.announcer.sidecars_here() == 2);
  t.ready();
  CHECK(t.take_sent().size() == 2);
}

}  // namespace shoal::announce
