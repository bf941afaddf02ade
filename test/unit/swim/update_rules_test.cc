// What alive, suspect and dead do to a record: the whole table, through raw datagrams.
#include <doctest/doctest.h>

#include "support/lone_core.h"
#include "swim/core.h"

namespace shoal::swim {
namespace {

using test::alive;
using test::dead;
using test::Lines;
using test::LoneCore;
using test::Memory;
using test::only;
using test::peer;
using test::suspect;

/// "b" at incarnation 5 in this state, in a cluster of five, with nothing left to tell.
void put_b(LoneCore& me, const std::string& state) {
  me.know("c", 3);
  me.know("d", 4);
  me.know("e", 5);
  me.know("b", 2, 5);
  if (state == "suspect") me.hear(suspect(5, "b", "x"));
  if (state == "dead") me.hear(dead(5, "b", "x"));
  if (state == "left") me.hear(dead(5, "b", "b"));
  me.quiet();
  REQUIRE(me.state("b") == state);
  REQUIRE(me.incarnation("b") == 5);
}

Memory message_about(const std::string& kind, std::uint32_t incarnation, std::string_view node, std::uint8_t host) {
  if (kind == "alive") return alive({incarnation, std::string(node), peer(host)});
  if (kind == "suspect") return suspect(incarnation, node, "y");
  if (kind == "dead") return dead(incarnation, node, "y");
  REQUIRE(kind == "leaves");
  return dead(incarnation, node, node);
}

// Columns: b's state (at incarnation 5), message, its incarnation -> state, incarnation, told on as, event.
constexpr std::string_view kAboutAnother = R"(
  alive    alive    4   alive    5  -        -
  alive    alive    5   alive    5  -        -
  alive    alive    6   alive    6  alive    -
  suspect  alive    4   suspect  5  -        -
  suspect  alive    5   suspect  5  -        -      # equal incarnation never refutes
  suspect  alive    6   alive    6  alive    -
  dead     alive    4   dead     5  -        -
  dead     alive    5   dead     5  -        -
  dead     alive    6   alive    6  alive    join
  left     alive    4   left     5  -        -
  left     alive    5   left     5  -        -
  left     alive    6   alive    6  alive    join

  alive    suspect  4   alive    5  -        -
  alive    suspect  5   suspect  5  suspect  -      # but equal does accuse
  alive    suspect  6   suspect  6  suspect  -
  suspect  suspect  4   suspect  5  -        -
  suspect  suspect  5   suspect  5  suspect  -      # a second accuser is news; the record stays
  suspect  suspect  6   suspect  6  suspect  -      # it had refuted meanwhile: a suspicion of its own
  dead     suspect  4   dead     5  -        -
  dead     suspect  5   dead     5  -        -
  dead     suspect  6   dead     5  -        -
  left     suspect  4   left     5  -        -
  left     suspect  5   left     5  -        -
  left     suspect  6   left     5  -        -

  alive    dead     4   alive    5  -        -
  alive    dead     5   dead     5  dead     leave
  alive    dead     6   dead     6  dead     leave
  suspect  dead     4   suspect  5  -        -
  suspect  dead     5   dead     5  dead     leave
  suspect  dead     6   dead     6  dead     leave
  dead     dead     4   dead     5  -        -
  dead     dead     5   dead     5  -        -
  dead     dead     6   dead     5  -        -
  left     dead     4   left     5  -        -
  left     dead     5   left     5  -        -
  left     dead     6   left     5  -        -

  alive    leaves   4   alive    5  -        -      # From = Node: left
  alive    leaves   5   left     5  dead     leave
  alive    leaves   6   left     6  dead     leave
  suspect  leaves   4   suspect  5  -        -
  suspect  leaves   5   left     5  dead     leave
  suspect  leaves   6   left     6  dead     leave
  dead     leaves   4   dead     5  -        -
  dead     leaves   5   dead     5  -        -
  dead     leaves   6   dead     5  -        -
  left     leaves   4   left     5  -        -
  left     leaves   5   left     5  -        -
  left     leaves   6   left     5  -        -
)";

TEST_CASE("news about another follows the table of states and incarnations") {
  for (const Lines& row : test::table(kAboutAnother)) {
    REQUIRE(row.size() == 7);
    CAPTURE(row[0]);
    CAPTURE(row[1]);
    CAPTURE(row[2]);
    LoneCore me;
    put_b(me, row[0]);
    me.hear(message_about(row[1], static_cast<std::uint32_t>(std::stoul(row[2])), "b", 2));
    CHECK(me.state("b") == row[3]);
    CHECK(std::to_string(me.incarnation("b")) == row[4]);
    const Lines told = me.ask();
    if (row[5] == "-") {
      CHECK(told == Lines{});
    } else {
      REQUIRE(told.size() == 1);
      CHECK(told[0].starts_with(row[5] + " " + row[2] + " b"));
    }
    if (row[6] == "-") {
      CHECK(me.news == Lines{});
    } else {
      REQUIRE(me.news.size() == 1);
      CHECK(me.news[0].starts_with(row[6] + " b"));
    }
  }
}

// Columns: message about ourselves, its incarnation -> our incarnation (5 before), told on. Whoever tells.
constexpr std::string_view kAboutMe = R"(
  alive    4   5  -
  alive    5   5  -
  alive    6   7  alive    # more than was claimed
  suspect  4   5  again    # refuted already, and not heard: told straight to who says it
  suspect  5   6  alive
  suspect  6   7  alive
  suspect  70  71 alive
  dead     4   5  -
  dead     5   6  alive
  dead     6   7  alive
  leaves   4   5  -
  leaves   5   6  alive
  leaves   6   7  alive
)";

TEST_CASE("news about ourselves is refuted with an incarnation above the one that it names") {
  for (const Lines& row : test::table(kAboutMe)) {
    REQUIRE(row.size() == 4);
    CAPTURE(row[0]);
    CAPTURE(row[1]);
    LoneCore me;
    me.hear(suspect(4, "me", "x"));
    me.quiet();
    REQUIRE(me.incarnation("me") == 5);
    const std::uint32_t score = me.core.health_score();
    me.hear(message_about(row[0], static_cast<std::uint32_t>(std::stoul(row[1])), "me", 1));
    CHECK(me.state("me") == "alive");
    CHECK(std::to_string(me.incarnation("me")) == row[2]);
    CHECK(me.news == Lines{});
    if (row[3] == "again") {
      REQUIRE(me.sent.size() == 1);
      CHECK(me.sent[0].to == peer(99));
      CHECK(me.sent[0].parts == Lines{"alive " + row[2] + " me 10.0.0.1:7946"});
      CHECK(me.ask() == Lines{});
      CHECK(me.core.health_score() == score);
      continue;
    }
    const Lines told = me.ask();
    if (row[3] == "-") {
      CHECK(told == Lines{});
      CHECK(me.core.health_score() == score);
    } else {
      CHECK(told == Lines{"alive " + row[2] + " me 10.0.0.1:7946"});
      CHECK(me.core.health_score() == score + 1);
    }
  }
}

TEST_CASE("an accusation at incarnation 7 is refuted at 8, and the next own change comes after that") {
  LoneCore me;
  me.quiet();
  me.hear(suspect(7, "me", "x"));
  CHECK(me.ask() == Lines{"alive 8 me 10.0.0.1:7946"});
  me.command([&](Outbox& out) { me.core.set_meta(me.now, as_bytes("t"), out); });
  CHECK(me.incarnation("me") == 9);
}

TEST_CASE("an alive about ourselves with our incarnation but other meta or versions is refuted") {
  LoneCore me;
  me.quiet();
  me.hear(alive({1, "me", peer(1), "somebody else's"}));
  CHECK(me.ask() == Lines{"alive 2 me 10.0.0.1:7946"});
  me.quiet();
  me.hear(alive({2, "me", peer(1), "", {1, 5, 2, 2, 5, 4}}));
  CHECK(me.ask() == Lines{"alive 3 me 10.0.0.1:7946"});
}

TEST_CASE("once we are leaving, nothing about ourselves is refuted any more") {
  LoneCore me;
  me.know("b", 2);
  me.command([&](Outbox& out) { me.core.leave(me.now, out); });
  CHECK(me.news == Lines{"leave me left"});
  me.quiet();
  for (const Memory& message : {alive({9, "me", peer(1)}), suspect(9, "me", "x"), dead(9, "me", "x")}) {
    me.hear(message);
    CHECK(me.state("me") == "left");
    CHECK(me.incarnation("me") == 1);
    CHECK(me.ask() == Lines{});
  }
}

TEST_CASE("news of nodes that nobody knows is dropped unless it says that they are alive") {
  LoneCore me;
  me.quiet();
  me.hear(suspect(3, "b", "x"));
  me.hear(dead(3, "b", "x"));
  CHECK(me.state("b") == "unknown");
  me.hear(alive({0, "b", peer(2)}));  // Incarnation 0 makes nobody alive.
  CHECK(me.state("b") != "alive");
  me.hear(alive({1, "b", peer(2)}));
  CHECK(me.state("b") == "alive");
  CHECK(me.news == Lines{"join b"});
}

TEST_CASE("an accuser who was heard already, the first one included, is no news") {
  LoneCore me;
  put_b(me, "alive");
  me.hear(suspect(5, "b", "x"));
  me.hear(suspect(5, "b", "y"));
  me.quiet();
  me.hear(suspect(5, "b", "x"));
  me.hear(suspect(5, "b", "y"));
  CHECK(me.ask() == Lines{});
}

TEST_CASE("news about one node replaces what was still to be told of it") {
  LoneCore me;
  me.know("c", 3);
  me.hear(alive({1, "b", peer(2)}));
  me.hear(alive({2, "b", peer(2)}));
  me.hear(dead(2, "b", "x"));
  CHECK(me.ask() == Lines{"dead 2 b from x"});
}

TEST_CASE("a name from another address or port is a conflict, unless it has left") {
  for (const std::string state : {"alive", "suspect", "dead", "left"}) {
    for (const Endpoint& elsewhere : {peer(200), peer(2, 7999)}) {
      CAPTURE(state);
      CAPTURE(elsewhere.port);
      LoneCore me;
      put_b(me, state);
      me.hear(alive({9, "b", elsewhere}));
      const Record& b = me.core.members()[me.core.members().find("b")];
      if (state == "left") {
        CHECK(b.endpoint() == elsewhere);
        CHECK(me.state("b") == "alive");
        CHECK(me.news == Lines{"join b"});
      } else {
        CHECK(b.endpoint() == peer(2));
        CHECK(me.state("b") == state);
        CHECK(me.incarnation("b") == 5);
        CHECK(me.news == Lines{"conflict b " + std::string(to_text(elsewhere).view())});
        CHECK(me.refused(Refusal::kConflict) == 1);
        CHECK(me.ask() == Lines{});
      }
    }
  }
}

TEST_CASE("a name that has left comes back from another address at any incarnation") {
  LoneCore me;
  put_b(me, "left");
  me.hear(alive({1, "b", peer(200)}));
  CHECK(me.state("b") == "alive");
  CHECK(me.incarnation("b") == 1);
  CHECK(me.ask() == Lines{"alive 1 b 10.0.0.200:7946"});
}

TEST_CASE("our own name from another address is a conflict and changes nothing") {
  LoneCore me;
  me.quiet();
  me.hear(alive({9, "me", peer(200)}));
  CHECK(me.incarnation("me") == 1);
  CHECK(me.news == Lines{"conflict me 10.0.0.200:7946"});
  CHECK(me.ask() == Lines{});
}

TEST_CASE("an address of 16 bytes is kept and told on with 16, and 4 bytes of the same host are another address") {
  const Endpoint mapped{*IpAddress::from_raw(test::from_hex("00000000000000000000ffff0a000002")), 7946};
  LoneCore me;
  me.quiet();
  me.hear(alive({1, "b", mapped}));
  CHECK(me.ask() == Lines{"alive 1 b 10.0.0.2:7946/16"});
  const Lines answer = me.exchange(test::push_pull({}));
  CHECK(only(answer, "node b") == Lines{"node b 0 1 10.0.0.2:7946/16"});
  me.hear(alive({2, "b", peer(2)}));
  CHECK(me.refused(Refusal::kConflict) == 1);
  CHECK(me.incarnation("b") == 1);
}

TEST_CASE("an alive whose versions are missing, short or of another protocol is refused and never told on") {
  const Memory vsns[] = {{},
                         {1},
                         {1, 5},
                         {1, 5, 2},
                         {1, 5, 2, 2, 5},
                         {0, 5, 2, 2, 5, 5},
                         {1, 0, 2, 2, 5, 5},
                         {5, 1, 2, 2, 5, 5},
                         {0, 0, 0, 0, 0, 0}};
  LoneCore me;
  me.know("b", 2);
  std::uint64_t refused = 0;
  for (const Memory& vsn : vsns) {
    CAPTURE(vsn.size());
    me.hear(alive({3, "new", peer(3), "", vsn}));
    me.hear(alive({3, "b", peer(2), "", vsn}));
    refused += 2;
    CHECK(me.refused(Refusal::kBadVersions) == refused);
  }
  CHECK(me.state("new") == "unknown");
  CHECK(me.incarnation("b") == 1);
  CHECK(me.ask() == Lines{});
  CHECK(only(me.exchange(test::push_pull({})), "node ").size() == 2);
}

TEST_CASE("names, metas and addresses of impossible sizes are refused and counted") {
  LoneCore me;
  me.quiet();
  me.hear(alive({1, std::string(256, 'n'), peer(2)}));
  me.hear(alive({1, "", peer(2)}));
  CHECK(me.refused(Refusal::kNameTooLong) == 2);
  me.hear(alive({1, "b", peer(2), std::string(513, 'm')}));
  CHECK(me.refused(Refusal::kMetaTooLong) == 1);
  wire::Alive odd{1, "b", as_bytes("12345"), 7946, {}, Bytes(test::kVersionBytes)};
  me.hear(test::encoded(odd));
  odd.addr = {};
  me.hear(test::encoded(odd));
  CHECK(me.refused(Refusal::kBadAddress) == 2);
  CHECK(me.core.members().size() == 1);
  CHECK(me.ask() == Lines{});
  me.hear(alive({1, std::string(255, 'n'), peer(2), std::string(512, 'm')}));
  CHECK(me.core.members().size() == 2);
}

TEST_CASE("port 0 in an alive means our own port") {
  LoneCore me;
  me.hear(alive({1, "b", peer(2, 0)}));
  CHECK(me.core.members()[me.core.members().find("b")].endpoint() == peer(2, 7946));
}

TEST_CASE("a full table refuses newcomers and counts them, but takes them in place of the departed") {
  Options options = LoneCore::options();
  options.members_max = 3;
  LoneCore me(options);
  me.know("b", 2);
  me.know("c", 3);
  me.hear(alive({1, "d", peer(4)}));
  CHECK(me.state("d") == "unknown");
  CHECK(me.refused(Refusal::kTableFull) == 1);
  me.hear(dead(1, "b", "c"));
  me.hear(alive({1, "d", peer(4)}));
  CHECK(me.state("d") == "alive");
  CHECK(me.state("b") == "unknown");
}

TEST_CASE("a full table never gives up our own record, even after we have left") {
  Options options = LoneCore::options();
  options.members_max = 2;
  LoneCore me(options);
  me.know("b", 2);
  me.command([&](Outbox& out) { me.core.leave(me.now, out); });
  me.hear(alive({1, "c", peer(3)}));
  CHECK(me.core.self().name == "me");
  CHECK(me.state("me") == "left");
  CHECK(me.state("c") == "unknown");
}

TEST_CASE(
    "an allow list keeps out senders, addresses and moves from outside, and asks nothing of suspects and deaths") {
  Options options = LoneCore::options();
  options.allow.push_back(*Cidr::parse("10.0.0.0/28"));
  LoneCore me(options);
  me.quiet();
  me.hear(alive({1, "b", peer(2)}), peer(99));  // Sent from outside.
  me.hear(alive({1, "b", peer(20)}), peer(2));  // An address outside.
  CHECK(me.state("b") == "unknown");
  CHECK(me.refused(Refusal::kNotAllowed) == 2);
  me.hear(alive({1, "b", peer(2)}), peer(3));
  CHECK(me.state("b") == "alive");
  // Also by push/pull, where the peer itself is not asked.
  me.exchange(test::push_pull({{"c", peer(3)}, {"d", peer(40)}}));
  CHECK(me.state("c") == "alive");
  CHECK(me.state("d") == "unknown");
  me.hear(dead(1, "b", "b"), peer(99));
  CHECK(me.state("b") == "left");
  me.hear(alive({1, "b", peer(30)}), peer(2));
  CHECK(me.state("b") == "left");
}

TEST_CASE("a suspect that is silent dies by our hand when its time is over, at its incarnation") {
  Options options = LoneCore::options();
  options.timing.probe_interval = 1h;  // No probes of our own, so no accusation of our own.
  options.timing.suspicion_mult = 2;
  options.timing.push_pull_interval = 10h;
  LoneCore me(options);
  me.know("b", 2, 4);
  me.hear(suspect(5, "b", "x"));
  me.quiet();
  me.run_for(2h - 1ms);
  CHECK(me.state("b") == "suspect");
  me.run_for(2ms);
  CHECK(me.state("b") == "dead");
  CHECK(only(me.ask(), "dead") == Lines{"dead 5 b from me"});
  CHECK(me.news == Lines{"leave b dead"});
}

TEST_CASE("an alive of a higher incarnation ends the suspicion, and its timer with it") {
  Options options = LoneCore::options();
  options.timing.probe_interval = 1h;
  options.timing.suspicion_mult = 2;
  options.timing.push_pull_interval = 10h;
  LoneCore me(options);
  me.know("b", 2);
  me.hear(suspect(1, "b", "x"));
  me.run_for(90min);
  me.hear(alive({2, "b", peer(2)}));
  me.hear(suspect(2, "b", "x"));  // A new suspicion has its whole time again.
  me.run_for(110min);
  CHECK(me.state("b") == "suspect");
  me.run_for(20min);
  CHECK(me.state("b") == "dead");
  LoneCore other(options);
  other.know("b", 2);
  other.hear(suspect(1, "b", "x"));
  other.hear(alive({2, "b", peer(2)}));
  other.run_for(3h);
  for (const test::SentPacket& packet : other.sent) CHECK(only(packet.parts, "dead").empty());
}

TEST_CASE("confirmations bring a death nearer: 24 s, then 11.381 s, then 4 s after the first accusation") {
  const auto died_after = [](std::initializer_list<std::string_view> accusers, std::string_view d_went_by = "") {
    Options options = LoneCore::options();
    LoneCore me(options);
    me.know("b", 2);
    me.know("c", 3);
    me.know("d", 4);
    if (!d_went_by.empty()) me.hear(dead(1, "d", d_went_by));
    for (const std::string_view accuser : accusers) me.hear(suspect(1, "b", accuser));
    const Instant begin = me.now;
    while (me.state("b") == "suspect" && me.now < begin + 1min) {
      // Everybody answers its pings, so that nobody but `accusers` accuses.
      const std::size_t before = me.sent.size();
      me.run_for(me.core.next_deadline() - me.now);
      for (std::size_t i = before; i < me.sent.size(); ++i) {
        const Lines pings = only(me.sent[i].parts, "ping");
        if (!pings.empty()) me.hear(test::encoded(wire::Ack{test::number(pings[0], 1), {}}));
      }
    }
    return to_ms(me.now - begin);
  };
  CHECK(died_after({"x"}) == 24'000);
  CHECK(died_after({"x", "x"}) == 24'000);
  CHECK(died_after({"x", "c"}) == 11'381);
  CHECK(died_after({"x", "c", "d"}) == 4'000);
  // One that has left promises no confirmation and prolongs nothing; one that died does, as in memberlist.
  CHECK(died_after({"x"}, "d") == 4'000);
  CHECK(died_after({"x"}, "somebody") == 24'000);
}

}  // namespace
}  // namespace shoal::swim
