#include "announce/registrar.h"

#include <doctest/doctest.h>

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace shoal::announce {
namespace {

constexpr std::uint64_t kStart = 1'700'000'000'000;

Endpoint gossip(std::uint8_t host) { return {IpAddress::v4(10, 0, 0, host), 7947}; }

Announcement web(std::uint64_t seq = 1, std::uint64_t start_id = kStart) {
  Announcement what;
  what.port = 8080;
  what.pool = PoolName("web");
  what.generation = {start_id, seq};
  return what;
}
Announcement of_go_peer() { return web(0, 0); }
Announcement with_state(Announcement what, TaskState state) {
  what.state = state;
  return what;
}
Departure depart(std::uint64_t seq = 2, std::uint64_t start_id = kStart) {
  Departure what;
  what.port = 8080;
  what.generation = {start_id, seq};
  return what;
}

Standing in_rotation() {
  Standing s;
  s.in_rotation = true;
  s.server = ServerName("shoal-t-1");
  s.proxies_up = 1;
  s.proxies_total = 2;
  return s;
}
Standing out(std::uint32_t in_flight) {
  Standing s;
  s.out = true;
  s.in_flight = in_flight;
  s.drained = in_flight == 0;
  return s;
}
Standing because(Reason reason, std::string_view text) {
  Standing s;
  s.reason = reason;
  s.reason_text = ReasonText(text);
  return s;
}

struct Asked {
  Instant at{};
  std::uint64_t token = 0;
  std::string node;
  Endpoint to;
  std::uint64_t nonce = 0;
  Route route = Route::kDirectUdp;
};

struct Trace {
  explicit Trace(const Registrar::Options& options = {})
      : registrar(options, Rng(11), Instant{}), out(options.queries_max, options.held_max, options.solicits_max) {}

  Instant now{};
  Registrar registrar;
  RegistrarOutbox out;
  std::string words;  // Forwards, push/pulls and answers, in order.
  std::vector<Asked> asked;
  std::uint64_t next_ref = 1;

  void say(const std::string& word) { words += (words.empty() ? "" : ", ") + word; }

  void drain() {
    for (const RegistrarEffect& effect : out.effects()) {
      if (const auto* f = std::get_if<ForwardAnnouncement>(&effect)) {
        say("news " + std::string(f->node.view()) + " " + std::to_string(f->announcement.port) + "/" +
            std::to_string(f->announcement.generation.seq));
        last_address = f->address;
        last_forwarded = f->announcement;
      }
      if (const auto* f = std::get_if<ForwardDeparture>(&effect)) say("depart " + std::string(f->node.view()));
      if (const auto* s = std::get_if<Solicit>(&effect)) {
        const auto solicitation = decode_solicitation(s->payload);
        REQUIRE(solicitation.has_value());
        asked.push_back({now, s->token, std::string(s->node.view()), s->to, solicitation->nonce, s->route});
      }
      if (const auto* p = std::get_if<PushPull>(&effect)) say("push/pull " + std::string(to_text(p->with).view()));
      if (const auto* a = std::get_if<Answer>(&effect)) say(answer_word(*a));
    }
    out.clear();
  }
  /// "1: accepted", read as what was asked.
  std::string answer_word(const Answer& a) {
    if (is_depart.count(a.query_ref) > 0) {
      const auto answer = decode_depart_answer(a.payload);
      REQUIRE(answer.has_value());
      return std::to_string(a.query_ref) + ": " + word_of(*answer) + (answer->drained ? ", drained" : "");
    }
    const auto answer = decode_announce_answer(a.payload);
    REQUIRE(answer.has_value());
    return std::to_string(a.query_ref) + ": " + word_of(*answer);
  }
  template <typename AnyAnswer>
  std::string word_of(const AnyAnswer& answer) {
    last_reason = std::string(answer.reason_text.view());
    last_server = std::string(answer.server.view());
    if (answer.accepted) return "accepted";
    if (answer.pending) return "pending";
    return answer.reason == Reason::kFix ? "fix" : answer.reason == Reason::kRetry ? "retry" : "no";
  }
  std::set<std::uint64_t> is_depart;
  std::string last_reason;
  std::string last_server;
  IpAddress last_address;
  Announcement last_forwarded;

  std::string take() {
    std::string taken;
    taken.swap(words);
    return taken;
  }
  std::vector<Asked> take_asked() {
    std::vector<Asked> taken;
    taken.swap(asked);
    return taken;
  }
  Asked take_one() {
    const auto taken = take_asked();
    REQUIRE(taken.size() == 1);
    return taken[0];
  }

  void member(const std::string& name, std::uint8_t host = 1, MemberStatus status = MemberStatus::kAlive,
              bool is_shoal = true, bool is_task = false) {
    registrar.on_member(now, {name, gossip(host), status, is_shoal, is_task}, out);
    drain();
  }
  template <typename Message>
  std::uint64_t query(std::string_view kind, const std::string& node, const Endpoint& source, const Message& message) {
    std::array<std::uint8_t, kPayloadBytesMax> memory{};
    if (kind == kDepartQuery) is_depart.insert(next_ref);
    registrar.on_query(now, {next_ref, kind, node, source, encode(message, memory)}, out);
    drain();
    return next_ref++;
  }
  std::uint64_t announce(const std::string& node, const Announcement& what, std::uint8_t host = 1) {
    return query(kAnnounceQuery, node, gossip(host), what);
  }
  std::uint64_t departs(const std::string& node, const Departure& what, std::uint8_t host = 1) {
    return query(kDepartQuery, node, gossip(host), what);
  }
  void standing(const std::string& node, const Standing& s) { registrar.on_standing(now, node, s, out), drain(); }
  void solicited(const Asked& to, Announcement what, const std::string& from = "") {
    std::array<std::uint8_t, kPayloadBytesMax> memory{};
    registrar.on_solicit_answer(now, to.token, from.empty() ? to.node : from, encode(what, memory), out);
    drain();
  }
  void confirm(const Asked& to, Announcement what) {
    what.nonce = to.nonce;
    solicited(to, what);
  }
  void after(Duration d) {
    const Instant until = now + d;
    while (registrar.next_deadline() <= until) {
      now = std::max(now, registrar.next_deadline());
      registrar.on_deadline(now, out);
      drain();
      REQUIRE(registrar.next_deadline() > now);
    }
    now = until;
  }
};

/// Member "t" at 10.0.0.1, announced, confirmed and in rotation.
void serve(Trace& t) {
  t.member("t");
  t.announce("t", web());
  t.confirm(t.take_one(), web());
  t.standing("t", in_rotation());
  REQUIRE(t.take() == "news t 8080/1, 1: accepted");
}

}  // namespace

TEST_CASE("an announcement is forwarded when its claim is confirmed, and accepted when HAProxy has it in rotation") {
  Trace t;
  t.member("t");
  t.announce("t", web());
  CHECK(t.take() == "");
  const Asked asked = t.take_one();
  CHECK(asked.node == "t");
  CHECK(asked.to == gossip(1));
  CHECK(asked.nonce != 0);
  CHECK(asked.route == Route::kDirectUdp);
  t.confirm(asked, web());
  CHECK(t.take() == "news t 8080/1");
  CHECK(t.last_address == IpAddress::v4(10, 0, 0, 1));
  t.standing("t", Standing{});
  CHECK(t.take() == "");
  t.standing("t", in_rotation());
  CHECK(t.take() == "1: accepted");
  CHECK(t.last_server == "shoal-t-1");
  CHECK(t.registrar.queries_waiting() == 0);
  CHECK(t.registrar.knows_well("t"));
  CHECK(t.registrar.counters().claims_confirmed == 1);
}

TEST_CASE("a claim with a wrong nonce, or answered by somebody else, is not confirmed") {
  Trace t;
  t.member("t");
  t.announce("t", web());
  const Asked asked = t.take_one();
  t.solicited(asked, web());  // nonce 0
  Announcement wrong = web();
  wrong.nonce = asked.nonce + 2;
  t.solicited(asked, wrong);
  wrong.nonce = asked.nonce;
  t.solicited(asked, wrong, "other");
  CHECK(t.take() == "");
  CHECK(t.registrar.counters().solicit_answers_bad == 3);
  t.confirm(asked, web());
  CHECK(t.take() == "news t 8080/1");
  t.confirm(asked, web());
  CHECK(t.registrar.counters().solicit_answers_unexpected == 1);
}

TEST_CASE(
    "a member that failed and returns with the statement it had is forwarded again, marked by the nonce as said anew") {
  Trace t;
  serve(t);
  t.member("t", 1, MemberStatus::kFailed);
  t.member("t");
  t.announce("t", web());
  CHECK(t.take() == "");
  const Asked asked = t.take_one();
  t.confirm(asked, web());
  CHECK(t.take() == "news t 8080/1");
  // A sidecar core takes a generation that it knows from before the failure only with a nonce.
  CHECK(t.last_forwarded.nonce == asked.nonce);
}

TEST_CASE("a Go peer's claim is confirmed by any answer to a solicit") {
  Trace t;
  t.member("go", 1, MemberStatus::kAlive, false);
  t.announce("go", of_go_peer());
  t.solicited(t.take_one(), of_go_peer());
  CHECK(t.take() == "news go 8080/0");
}

TEST_CASE("a peer that never answers solicits is believed after five quiet seconds, but not a shoal one") {
  Trace t;
  t.member("agent", 1, MemberStatus::kAlive, false);
  t.member("t", 2);
  t.announce("agent", of_go_peer());
  t.announce("t", web(), 2);
  t.after(3900ms);
  CHECK(t.take().find("news") == std::string::npos);
  t.after(10s);
  CHECK(t.take().find("news agent 8080/0") != std::string::npos);
  CHECK(t.registrar.counters().claims_by_silence == 1);
  t.after(120s);
  CHECK(t.take().find("news t") == std::string::npos);
}

TEST_CASE("suspicion breaks the quiet time of a silent peer") {
  Trace t;
  t.member("agent", 1, MemberStatus::kAlive, false);
  t.announce("agent", of_go_peer());
  t.after(3s);
  t.member("agent", 1, MemberStatus::kSuspect, false);
  t.after(60s);
  CHECK(t.registrar.counters().claims_by_silence == 0);
}

TEST_CASE(
    "an unanswered solicit is repeated by datagram, then by TCP, with one nonce; any of the tries may be answered") {
  Trace t;
  t.member("t");
  t.announce("t", web());
  t.after(10s);
  const auto asked = t.take_asked();
  REQUIRE(asked.size() == 4);
  CHECK(asked[2].route == Route::kDirectUdp);
  CHECK(asked[3].route == Route::kDirectTcp);
  for (const Asked& a : asked) CHECK(a.nonce == asked[0].nonce);
  CHECK(t.take() == "1: pending");
  CHECK(t.last_reason.find("gossip port") != std::string::npos);
  t.announce("t", web());  // Its retry starts the question anew.
  const Asked again = t.take_one();
  t.after(600ms);
  t.confirm(again, web());
  t.standing("t", in_rotation());
  CHECK(t.take() == "news t 8080/1, 2: accepted");
}

TEST_CASE("what HAProxy has not done after four seconds is pending") {
  Trace t;
  t.member("t");
  t.announce("t", web());
  t.confirm(t.take_one(), web());
  t.standing("t", Standing{});
  t.take();
  t.after(3999ms);
  CHECK(t.take() == "");
  t.after(1ms);
  CHECK(t.take() == "1: pending");
  t.standing("t", in_rotation());
  CHECK(t.take() == "");  // Asked and answered.
}

TEST_CASE("a refusal carries the sidecar's reason") {
  Trace t;
  t.member("t");
  t.announce("t", web());
  t.confirm(t.take_one(), web());
  t.take();
  t.standing("t", because(Reason::kFix, "no such backend: web"));
  CHECK(t.take() == "1: fix");
  CHECK(t.last_reason == "no such backend: web");
  // The sidecar keeps the announcement; asked again, the cause is gone.
  t.standing("t", in_rotation());
  t.announce("t", web());
  CHECK(t.take() == "2: accepted");
}

TEST_CASE("a retry while one is pending is no news, and both are answered") {
  Trace t;
  t.member("t");
  t.announce("t", web());
  t.after(100ms);
  t.announce("t", web());
  t.confirm(t.take_one(), web());
  t.standing("t", in_rotation());
  CHECK(t.take() == "news t 8080/1, 1: accepted, 2: accepted");
  CHECK(t.registrar.counters().announces_repeated == 1);
}

TEST_CASE("a standing from before the news answers nothing") {
  Trace t;
  serve(t);
  Announcement moved = web(2);
  moved.pool = PoolName("other");
  t.announce("t", moved);
  CHECK(t.take() == "news t 8080/2");  // In rotation, but in the old pool.
  CHECK(t.asked.empty());              // The same start: its claim is confirmed.
  t.standing("t", in_rotation());
  CHECK(t.take() == "2: accepted");
}

TEST_CASE("stale words are answered with what stands and go no further") {
  Trace t;
  serve(t);
  t.announce("t", web(5));
  t.standing("t", in_rotation());
  CHECK(t.take() == "news t 8080/5, 2: accepted");
  t.announce("t", web(4));
  t.announce("t", web(9, kStart - 1));
  // What stands is another start's than the fourth asks for: no word of it is true for that one.
  CHECK(t.take() == "3: accepted, 4: retry");
  t.departs("t", depart(4));
  t.departs("t", depart(9, kStart - 1));
  CHECK(t.take() == "5: pending, 6: pending");
  CHECK(t.registrar.counters().stale == 4);
  CHECK(t.registrar.counters().departs_forwarded == 0);
}

TEST_CASE("a depart is forwarded once, and answered with what is in flight until it is drained") {
  Trace t;
  serve(t);
  t.departs("t", depart());
  CHECK(t.take() == "depart t");
  t.standing("t", in_rotation());
  CHECK(t.take() == "");
  t.standing("t", out(2));
  CHECK(t.take() == "2: accepted");
  t.departs("t", depart());
  CHECK(t.take() == "3: accepted");
  t.standing("t", out(0));
  t.departs("t", depart());
  CHECK(t.take() == "4: accepted, drained");
  CHECK(t.registrar.counters().departs_repeated == 2);
}

TEST_CASE("a depart that HAProxy has not carried out after four seconds is pending") {
  Trace t;
  serve(t);
  t.departs("t", depart());
  t.standing("t", in_rotation());
  t.take();
  t.after(4s);
  CHECK(t.take() == "2: pending");
}

TEST_CASE("after its depart a start cannot be announced again, not even with a higher seq; another start can") {
  Trace t;
  serve(t);
  t.departs("t", depart());
  t.standing("t", out(0));
  t.take();
  t.announce("t", web(1));
  t.announce("t", web(9));
  CHECK(t.take() == "3: fix, 4: fix");
  t.announce("t", web(1, kStart + 1));
  CHECK(t.take() == "");
  t.confirm(t.take_one(), web(1, kStart + 1));
  CHECK(t.take() == "news t 8080/1");
}

TEST_CASE("after a depart for a while the same start returns with a higher seq, and with that alone") {
  Trace t;
  serve(t);
  Departure for_a_while = depart(2);
  for_a_while.returns = true;
  t.departs("t", for_a_while);
  CHECK(t.take() == "depart t");
  t.standing("t", out(0));
  t.take();
  t.departs("t", for_a_while);  // Asked again: answered, not forwarded.
  CHECK(t.take().find("depart t") == std::string::npos);
  t.announce("t", web(1));
  t.announce("t", web(2));
  CHECK(t.take().find("news") == std::string::npos);
  t.announce("t", web(3));
  CHECK(t.take() == "news t 8080/3");
  t.departs("t", for_a_while);  // A late copy.
  CHECK(t.take().find("depart t") == std::string::npos);
  for_a_while.generation.seq = 4;
  t.departs("t", for_a_while);
  CHECK(t.take() == "depart t");
  t.departs("t", depart(5));  // For good.
  CHECK(t.take().find("depart t") != std::string::npos);
  t.announce("t", web(6));
  CHECK(t.take().find("news") == std::string::npos);
}

TEST_CASE("a depart overtakes an announcement that waits") {
  Trace t;
  t.member("t");
  t.announce("t", web());
  t.confirm(t.take_one(), web());
  t.take();
  t.departs("t", depart());
  CHECK(t.take() == "depart t");
  t.standing("t", out(0));
  CHECK(t.take().find("accepted, drained") != std::string::npos);
  CHECK(t.registrar.queries_waiting() == 0);
}

TEST_CASE("unready and departing are accepted when the server is out") {
  Trace t;
  serve(t);
  t.announce("t", with_state(web(2), TaskState::kUnready));
  t.standing("t", in_rotation());
  CHECK(t.take() == "news t 8080/2");
  t.standing("t", out(1));
  CHECK(t.take() == "2: accepted");
}

TEST_CASE("an unknown state word is handed on, not served and not accepted") {
  Trace t;
  serve(t);
  t.announce("t", with_state(web(2), TaskState::kUnknown));
  CHECK(t.take() == "news t 8080/2, 2: retry");
  CHECK(t.last_forwarded.state == TaskState::kUnknown);
}

TEST_CASE("an announcement must come from the member's own address; v4 and v4-mapped are the same") {
  Trace t;
  t.member("t");
  t.announce("t", web(), 2);
  CHECK(t.take() == "1: retry");
  CHECK(t.last_reason.find("10.0.0.2:7947") != std::string::npos);
  CHECK(t.last_reason.find("10.0.0.1:7947") != std::string::npos);
  t.query(kAnnounceQuery, "t", {IpAddress::v4(10, 0, 0, 1), 7948}, web());
  t.departs("t", depart(), 2);
  CHECK(t.take() == "2: retry, 3: retry");
  CHECK(t.registrar.counters().refused_source == 3);
  t.query(kAnnounceQuery, "t", {*IpAddress::parse("::ffff:10.0.0.1"), 7947}, web());
  CHECK(t.take() == "");
  CHECK(t.take_asked().size() == 1);
}

TEST_CASE("only a member that is here may announce; depart may come in any status") {
  Trace t;
  serve(t);
  t.member("t", 1, MemberStatus::kFailed);
  t.announce("t", web(2));
  CHECK(t.take() == "2: retry");
  CHECK(t.registrar.counters().refused_not_alive == 1);
  t.departs("t", depart(3));
  t.standing("t", out(0));
  CHECK(t.take() == "depart t, 3: accepted, drained");
  Trace suspect;
  suspect.member("t", 1, MemberStatus::kSuspect);
  suspect.announce("t", web());
  CHECK(suspect.take_asked().size() == 1);
}

TEST_CASE("what cannot be served is refused in words") {
  Trace t;
  t.member("t");
  Announcement no_port = web();
  no_port.port = 0;
  t.announce("t", no_port);
  CHECK(t.take() == "1: fix");
  CHECK(t.last_reason.find("port") != std::string::npos);
  constexpr std::array<std::uint8_t, 2> kDamaged = {0x12, 0x7f};
  t.registrar.on_query(t.now, {77, kAnnounceQuery, "t", gossip(1), kDamaged}, t.out);
  t.drain();
  t.registrar.on_query(t.now, {78, kDepartQuery, "t", gossip(1), kDamaged}, t.out);
  t.drain();
  CHECK(t.take() == "77: fix, 78: fix");
  CHECK(t.registrar.counters().refused_port == 1);
  CHECK(t.registrar.counters().refused_malformed == 2);
  t.registrar.on_query(t.now, {79, "solicit", "t", gossip(1), {}}, t.out);
  t.drain();
  CHECK(t.take() == "");
  CHECK(t.registrar.counters().unknown_query == 1);
  CHECK(t.registrar.queries_waiting() == 0);
  CHECK(t.asked.empty());
}

TEST_CASE("an address that no proxy may be sent to is refused as a claim") {
  for (const char* const address : {"127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.1.1", "fe80::1", "224.0.0.1",
                                    "255.255.255.255", "0.0.0.0", "::"}) {
    CAPTURE(address);
    Trace t;
    const Endpoint there{*IpAddress::parse(address), 7946};
    t.registrar.on_member(t.now, {"t", there, MemberStatus::kAlive, true, true}, t.out);
    t.drain();
    CHECK(t.asked.empty());  // Nor is anything sent there.
    t.query(kAnnounceQuery, "t", there, web());
    CHECK(t.take() == "1: fix");
    CHECK(t.registrar.counters().refused_address == 1);
    CHECK(t.asked.empty());
  }
  Trace loopback({.allow_loopback = true});
  const Endpoint there{IpAddress::v4(127, 0, 0, 1), 7946};
  loopback.registrar.on_member(loopback.now, {"t", there, MemberStatus::kAlive, true, false}, loopback.out);
  loopback.query(kAnnounceQuery, "t", there, web());
  CHECK(loopback.take_asked().size() == 1);
}

TEST_CASE("a query from an unknown node is held while its address is asked, then judged") {
  Trace t;
  t.announce("t", web());
  CHECK(t.take() == "push/pull 10.0.0.1:7947");
  t.after(500ms);
  t.announce("t", web());  // Its retry: the address is being asked already.
  CHECK(t.take() == "");
  t.member("t");
  t.confirm(t.take_one(), web());
  t.standing("t", in_rotation());
  CHECK(t.take() == "news t 8080/1, 1: accepted, 2: accepted");
}

TEST_CASE("a held query of a node that stays unknown is refused after three seconds") {
  Trace t;
  t.announce("t", web());
  t.departs("u", depart(), 2);
  CHECK(t.take() == "push/pull 10.0.0.1:7947, push/pull 10.0.0.2:7947");
  t.after(2999ms);
  CHECK(t.take() == "");
  t.after(1ms);
  CHECK(t.take() == "2: retry, 1: retry");
  CHECK(t.registrar.counters().refused_unknown == 2);
  CHECK(t.registrar.queries_waiting() == 0);
}

TEST_CASE("push/pulls for unknown names are limited: one an address, four in all, ten a minute") {
  Trace t;
  for (std::uint8_t host = 1; host <= 8; ++host) t.announce("n" + std::to_string(host), web(), host);
  CHECK(t.take() ==
        "push/pull 10.0.0.1:7947, push/pull 10.0.0.2:7947, push/pull 10.0.0.3:7947, push/pull 10.0.0.4:7947");
  int push_pulls = 4;
  for (int i = 0; i < 60; ++i) {  // A minute of it.
    t.after(1s);
    t.take();
    t.announce("m" + std::to_string(i), web(), static_cast<std::uint8_t>(20 + i));
    if (t.take().find("push/pull") != std::string::npos) ++push_pulls;
  }
  CHECK(push_pulls >= 15);
  CHECK(push_pulls <= 20);  // The bucket of ten and what a minute adds.
}

TEST_CASE("where no more can be held the query is refused at once") {
  Trace t({.held_max = 1});
  t.announce("a", web(), 1);
  t.announce("b", web(), 2);
  CHECK(t.take() == "push/pull 10.0.0.1:7947, 2: retry");
}

TEST_CASE("where no more can wait the query is forwarded and answered pending at once") {
  Trace t({.queries_max = 1});
  serve(t);
  t.announce("t", web(2));
  t.announce("t", web(3));
  CHECK(t.take() == "news t 8080/2, news t 8080/3, 3: pending");
}

TEST_CASE("a task member that appears is solicited at once, and its answer is an announcement") {
  Trace t;
  t.member("t", 1, MemberStatus::kAlive, true, true);
  const Asked asked = t.take_one();
  t.confirm(asked, web());
  CHECK(t.take() == "news t 8080/1");
  CHECK(t.registrar.knows_well("t"));
  t.after(120s);
  CHECK(t.asked.empty());  // Known well: not asked again.
}

TEST_CASE("a task that has nothing to announce yet is asked again each round") {
  Trace t;
  t.member("t", 1, MemberStatus::kAlive, true, true);
  Announcement nothing;
  nothing.state = TaskState::kUnready;
  t.confirm(t.take_one(), nothing);
  CHECK(t.take() == "");
  CHECK_FALSE(t.registrar.knows_well("t"));
  t.after(38s);
  CHECK(t.take_asked().size() >= 1);
}

TEST_CASE("a port of 0 in a solicit's answer still confirms the announcement that came meanwhile") {
  Trace t;
  t.member("t", 1, MemberStatus::kAlive, true, true);
  const Asked asked = t.take_one();
  t.announce("t", web());
  Announcement nothing;
  t.confirm(asked, nothing);
  CHECK(t.take() == "news t 8080/1");
}

TEST_CASE("a member that comes back is unknown until it has announced again, with a new confirmation") {
  Trace t;
  t.member("t", 1, MemberStatus::kAlive, true, true);
  t.confirm(t.take_one(), web());
  t.standing("t", in_rotation());
  t.take();
  t.member("t", 1, MemberStatus::kFailed, true, true);
  CHECK_FALSE(t.registrar.knows_well("t"));
  t.after(45s);
  CHECK(t.asked.empty());
  t.member("t", 1, MemberStatus::kAlive, true, true);
  const Asked asked = t.take_one();
  t.announce("t", web());  // The same statement, and yet news.
  CHECK(t.take() == "");
  t.confirm(asked, web());
  CHECK(t.take() == "news t 8080/1");
}

TEST_CASE("once the known start has ended another start is the newer one, even with a smaller number") {
  Trace t;
  serve(t);
  t.member("t", 1, MemberStatus::kLeft);
  t.member("t", 1, MemberStatus::kAlive);
  t.announce("t", web(1, kStart - 1000));
  t.confirm(t.take_one(), web(1, kStart - 1000));
  CHECK(t.take() == "news t 8080/1");
}

TEST_CASE("a statement that got lost on the way to the sidecar core is handed over again with its repetition") {
  Trace t;
  t.member("t");
  t.announce("t", web());
  t.confirm(t.take_one(), web());
  CHECK(t.take() == "news t 8080/1");
  t.announce("t", web());  // No standing has come since.
  CHECK(t.take() == "news t 8080/1");
  t.standing("t", Standing{});
  t.announce("t", web());
  CHECK(t.take() == "");
}

TEST_CASE("a start with a smaller number that answers with our nonce is the one that lives: a clock went back") {
  Trace t;
  t.member("t", 1, MemberStatus::kAlive, true, true);
  t.announce("t", web());
  t.confirm(t.take_one(), web());
  t.standing("t", in_rotation());
  CHECK(t.take() == "news t 8080/1, 1: accepted");
  const Announcement older = web(1, kStart - 1000);
  t.announce("t", older);
  CHECK(t.take() == "2: retry");
  t.confirm(t.take_one(), older);
  CHECK(t.take() == "news t 8080/1");
  CHECK(t.last_forwarded.generation.start_id == kStart - 1000);
}

TEST_CASE("a claim that is never confirmed does not make the true one's words stale") {
  Trace t;
  serve(t);
  t.announce("t", web(1, kStart + 1000));  // A forged datagram: the member itself will not answer with this start.
  CHECK(t.take() == "");
  t.departs("t", depart(2));
  CHECK(t.take() == "depart t");
}

TEST_CASE("a member that moved has to confirm its claim again") {
  Trace t;
  serve(t);
  t.member("t", 2);
  t.announce("t", web(2), 2);
  CHECK(t.take() == "");
  t.confirm(t.take_one(), web(2));
  CHECK(t.take() == "news t 8080/2");
  CHECK(t.last_address == IpAddress::v4(10, 0, 0, 2));
}

TEST_CASE("of a Go peer the last word wins, and its repetition is no news") {
  Trace t;
  t.member("go", 1, MemberStatus::kAlive, false, true);
  t.solicited(t.take_one(), of_go_peer());
  CHECK(t.take() == "news go 8080/0");
  t.standing("go", Standing{});
  t.announce("go", of_go_peer());
  CHECK(t.take() == "");
  Announcement other = of_go_peer();
  other.port = 9090;
  t.announce("go", other);
  CHECK(t.take() == "news go 9090/0");
  t.announce("go", of_go_peer());
  CHECK(t.take() == "news go 8080/0");
}

TEST_CASE("a forgotten member's waiting queries are refused, and its departed start stays departed") {
  Trace t;
  serve(t);
  t.announce("t", web(2));
  t.departs("t", depart(3));
  CHECK(t.take() == "news t 8080/2, depart t");
  t.member("t", 1, MemberStatus::kReaped);
  CHECK(t.take() == "3: retry, 2: retry");
  CHECK(t.registrar.members() == 0);
  t.member("t");
  t.announce("t", web(2));
  CHECK(t.take() == "4: fix");
  t.announce("t", web(1, kStart + 5));
  CHECK(t.take() == "");
  // A day later it is forgotten.
  t.member("t", 1, MemberStatus::kReaped);
  t.after(24h);
  t.take();
  t.take_asked();
  t.member("t");
  t.announce("t", web(2));
  CHECK(t.take() == "");
}

TEST_CASE("a forgotten member's slot can be another's while a solicit was wanted") {
  Trace t({.members_max = 2, .solicits_max = 2});  // One solicit under way that is no claim.
  t.member("a", 1, MemberStatus::kAlive, true, true);
  t.member("b", 2, MemberStatus::kAlive, true, true);
  CHECK(t.take_one().node == "a");
  t.member("b", 2, MemberStatus::kReaped);
  t.member("c", 3, MemberStatus::kAlive, true, false);
  t.after(60s);
  for (const Asked& a : t.take_asked()) CHECK(a.node == "a");
  t.member("d", 4);
  CHECK(t.registrar.counters().members_refused == 1);
}

TEST_CASE("a round of solicits never has more under way than it may, and claims go first") {
  Trace t({.solicits_max = 8});
  for (int i = 0; i < 40; ++i) {
    t.member("t" + std::to_string(i), static_cast<std::uint8_t>(i + 1), MemberStatus::kAlive, true, true);
  }
  auto asked = t.take_asked();
  CHECK(asked.size() == 4);
  t.announce("t39", web(), 40);
  // Wanted already, among the others: only its place changes.
  t.member("claim", 50);
  t.announce("claim", web(), 50);
  const auto claims = t.take_asked();
  REQUIRE(claims.size() == 2);
  CHECK(claims[0].node == "t39");
  CHECK(claims[1].node == "claim");
  // Each answer makes room for the next.
  std::size_t answered = 0;
  while (!asked.empty() && answered < 100) {
    for (const Asked& a : asked) {
      t.confirm(a, web());
      ++answered;
    }
    asked = t.take_asked();
  }
  CHECK(answered == 39);
}

TEST_CASE("everybody is asked once at the start, and those not known well about every 30 s") {
  Trace t;
  for (int i = 0; i < 3; ++i) {
    t.member("t" + std::to_string(i), static_cast<std::uint8_t>(i + 1), MemberStatus::kAlive, true, true);
  }
  t.member("sidecar", 9, MemberStatus::kAlive, true, false);
  const auto first = t.take_asked();
  REQUIRE(first.size() == 3);
  t.confirm(first[0], web());
  t.after(10s);
  t.take_asked();
  t.after(30s);
  const auto second = t.take_asked();
  CHECK(second.size() >= 2);
  for (const Asked& a : second) CHECK((a.node == "t1" || a.node == "t2"));
}

TEST_CASE("whatever comes in whatever order, each query is answered exactly once and within its time") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    Trace t({.members_max = 6, .queries_max = 4, .held_max = 3, .solicits_max = 4, .tombstones_max = 2});
    std::vector<Asked> asked;
    for (int step = 0; step < 120; ++step) {
      const auto host = static_cast<std::uint8_t>(1 + rng.below(std::uint64_t{8}));
      const std::string node = "n" + std::to_string(host);
      for (const Asked& a : t.take_asked()) asked.push_back(a);
      switch (rng.below(std::uint64_t{7})) {
        case 0:
          t.member(node, host, static_cast<MemberStatus>(rng.below(std::uint64_t{5})), rng.one_in(2), rng.one_in(2));
          break;
        case 1: t.announce(node, web(rng.below(std::uint64_t{4}), kStart + rng.below(std::uint64_t{2})), host); break;
        case 2: t.departs(node, depart(rng.below(std::uint64_t{4})), host); break;
        case 3: t.standing(node, rng.one_in(2) ? in_rotation() : out(0)); break;
        case 4: t.standing(node, because(Reason::kRetry, "wait")); break;
        case 5:
          if (!asked.empty()) t.confirm(asked[rng.below(std::uint64_t{asked.size()})], web());
          break;
        default: t.after(rng.below(Duration(2s)));
      }
    }
    t.after(5s);
    CHECK(t.registrar.queries_waiting() == 0);
    for (std::uint64_t ref = 1; ref < t.next_ref; ++ref) {
      const std::string mark = std::to_string(ref) + ": ";
      std::size_t answers = 0;
      for (std::size_t at = t.words.find(mark); at != std::string::npos; at = t.words.find(mark, at + 1)) {
        if (at == 0 || t.words[at - 1] == ' ') ++answers;
      }
      CAPTURE(ref);
      CHECK(answers == 1);
    }
  }
}

}  // namespace shoal::announce
