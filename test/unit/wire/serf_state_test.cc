#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "golden.h"
#include "support/hex.h"
#include "wire/messages.h"
#include "wire/msgpack.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using Memory = std::vector<std::uint8_t>;

// Everything a visitor is told, as text.
class Listener final : public SerfStateVisitor {
 public:
  void on_clocks(const SerfStateClocks& c) override {
    add("clocks " + std::to_string(c.ltime) + " " + std::to_string(c.event_ltime) + " " +
        std::to_string(c.query_ltime));
  }
  void on_status(std::string_view node, std::uint64_t ltime, bool left) override {
    add((left ? "left " : "status ") + std::string(node) + " " + std::to_string(ltime));
  }
  void on_event(const UserEvent& e) override {
    add("event " + std::to_string(e.ltime) + " " + std::string(e.name) + " " + std::string(as_text(e.payload)) +
        (e.cc ? " cc" : ""));
  }
  std::string told;

 private:
  void add(const std::string& line) { told += line + "\n"; }
};

std::string heard(Bytes state) {
  Listener listener;
  if (read_serf_state(state, listener)) return listener.told;
  CHECK(listener.told.empty());
  return "refused";
}

TEST_CASE("Go's state is told in its order: clocks, left members, others, events") {
  CHECK(heard(from_hex(golden("G32"))) == "clocks 7 3 4\nleft n2 0\nstatus n1 1\nevent 2 e p\nevent 2 f \n");
}

TEST_CASE("a left member is told once, with its status time") {
  // {StatusLTimes {a:5, b:6, c:7}, LeftMembers [c, a, d]}
  CHECK(
      heard(from_hex("0282 ac5374617475734c54696d6573 83a16105a16206a16307 ab4c6566744d656d62657273 93a163a161a164")) ==
      "clocks 0 0 0\nleft a 5\nleft c 7\nleft d 0\nstatus b 6\n");
}

TEST_CASE("what is written is read back") {
  Memory memory(4096);
  ByteWriter out(memory);
  SerfStateWriter writer(out, {.ltime = 300, .event_ltime = 2, .query_ltime = 70'000}, 3, 1);
  writer.status("alpha", 9);
  writer.status("beta", 1'000);
  writer.status("gamma", 0);
  writer.left("beta");
  REQUIRE(out.ok());
  CHECK(heard(out.written()) == "clocks 300 2 70000\nleft beta 1000\nstatus alpha 9\nstatus gamma 0\n");
  ByteWriter none(memory);
  SerfStateWriter(none, {.ltime = 1, .event_ltime = 1, .query_ltime = 1}, 0, 0);
  CHECK(heard(none.written()) == "clocks 1 1 1\n");
}

TEST_CASE("stored events are written by their time, in the order given") {
  Memory memory(4096);
  for (const std::uint32_t lefts : {0U, 1U}) {
    for (const std::uint32_t members : {0U, 1U}) {
      ByteWriter out(memory);
      SerfStateWriter writer(out, {.ltime = 7, .event_ltime = 9, .query_ltime = 1}, members, lefts, 2);
      if (members > 0) writer.status("a", 3);
      if (lefts > 0) writer.left("b");
      writer.events_at(8, 2);
      writer.event("deploy", as_bytes("v1"));
      writer.event("deploy", {});
      writer.events_at(5, 1);
      writer.event("e", as_bytes("p"));
      REQUIRE(out.ok());
      CHECK(heard(out.written()) == std::string("clocks 7 9 1\n") + (lefts > 0 ? "left b 0\n" : "") +
                                        (members > 0 ? "status a 3\n" : "") +
                                        "event 8 deploy v1\nevent 8 deploy \nevent 5 e p\n");
    }
  }
}

TEST_CASE("G32 is written again, but for the nil slot that Go has and the order of the keys") {
  Memory memory(4096);
  ByteWriter out(memory);
  SerfStateWriter writer(out, {.ltime = 7, .event_ltime = 3, .query_ltime = 4}, 1, 1, 1);
  writer.status("n1", 1);
  writer.left("n2");
  writer.events_at(2, 2);
  writer.event("e", as_bytes("p"));
  writer.event("f", {});
  REQUIRE(out.ok());
  CHECK(heard(out.written()) == heard(from_hex(golden("G32"))));
  CHECK(out.size() == golden("G32").size() / 2 - 1);
}

TEST_CASE("a state that does not fit says so") {
  Memory memory(4096);
  const auto written = [&](std::size_t room) {
    ByteWriter out(MutableBytes(memory).first(room));
    SerfStateWriter writer(out, {}, 1, 0, 1);
    writer.status("a", 3);
    writer.events_at(8, 1);
    writer.event("deploy", as_bytes("v1"));
    return out.ok() ? out.size() : 0;
  };
  const std::size_t whole = written(4096);
  CHECK(written(whole) == whole);
  for (std::size_t room = 0; room < whole; ++room) CHECK(written(room) == 0);
}

TEST_CASE("missing and nil parts are empty") {
  CHECK(heard(from_hex("0280")) == "clocks 0 0 0\n");
  CHECK(heard(from_hex("02c0")) == "clocks 0 0 0\n");
  CHECK(heard(from_hex("0283a64576656e7473c0ab4c6566744d656d62657273c0ac5374617475734c54696d6573c0")) ==
        "clocks 0 0 0\n");
}

TEST_CASE("a malformed state is refused whole, before anything is told") {
  const Memory golden_state = from_hex(golden("G32"));
  for (std::size_t size = 0; size < golden_state.size(); ++size) {
    CHECK(heard(Bytes(golden_state).first(size)) == "refused");
  }
  for (const char* hex : {
           "0380",                                    // Another type.
           "0281a54c54696d65ff",                      // A negative clock.
           "0281ac5374617475734c54696d657381a161ff",  // A negative status time.
           "0281ac5374617475734c54696d65738101a161",  // A name that is a number.
           "0281ab4c6566744d656d626572739101",        // The same among the left.
           "0281a64576656e74739101",                  // An event that is a number.
           "0281a64576656e74739181a64576656e747301",  // Events of a time that are a number.
           "0281a64576656e747301",                    // No list.
       }) {
    CAPTURE(hex);
    CHECK(heard(from_hex(hex)) == "refused");
  }
}

class Counter final : public SerfStateVisitor {
 public:
  void on_clocks(const SerfStateClocks&) override {}
  void on_status(std::string_view node, std::uint64_t ltime, bool left) override {
    // Node i has status time i; every third is left.
    const std::uint64_t i = std::stoull(std::string(node.substr(1)));
    wrong += ltime == i && left == (i % 3 == 0) ? 0 : 1;
    ++(left ? lefts : others);
  }
  void on_event(const UserEvent&) override {}
  std::size_t lefts = 0, others = 0, wrong = 0;
};

Memory big_state(std::uint32_t members) {
  Memory memory(members * std::size_t{40} + 1024);
  ByteWriter out(memory);
  SerfStateWriter writer(out, {}, members, (members + 2) / 3);
  // The two lists in different orders.
  for (std::uint32_t i = members; i-- > 0;) writer.status("n" + std::to_string(i), i);
  for (std::uint32_t i = 0; i < members; i += 3) writer.left("n" + std::to_string(i));
  REQUIRE(out.ok());
  memory.resize(out.size());
  return memory;
}

TEST_CASE("lists longer than a run are put together rightly, and the longest in bounded time") {
  for (const std::uint32_t members : {1U, 2U, 2'047U, 2'048U, 2'049U, 10'000U, kSerfStateNamesMax}) {
    CAPTURE(members);
    const auto begin = std::chrono::steady_clock::now();
    Counter counter;
    REQUIRE(read_serf_state(big_state(members), counter));
    CHECK(counter.wrong == 0);
    CHECK(counter.lefts == (members + 2) / 3);
    CHECK(counter.lefts + counter.others == members);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(30));
  }
  Counter counter;
  CHECK_FALSE(read_serf_state(big_state(kSerfStateNamesMax + 1), counter));
}

TEST_CASE("a name that stands everywhere is told each time, and costs no more than as many names") {
  // {StatusLTimes {a:5, a:6, b:7}, LeftMembers [a, a]}: the last time counts.
  CHECK(heard(from_hex("0282 ac5374617475734c54696d6573 83a16105a16106a16207 ab4c6566744d656d62657273 92a161a161")) ==
        "clocks 0 0 0\nleft a 6\nleft a 6\nstatus b 7\n");
  CHECK(heard(from_hex("0282 ac5374617475734c54696d6573 83a16105a16106a16207 ab4c6566744d656d62657273 91a162")) ==
        "clocks 0 0 0\nleft b 7\nstatus a 5\nstatus a 6\n");
  class Told final : public SerfStateVisitor {
   public:
    void on_clocks(const SerfStateClocks&) override {}
    void on_status(std::string_view, std::uint64_t, bool left) override { ++(left ? lefts : others); }
    void on_event(const UserEvent&) override {}
    std::size_t lefts = 0, others = 0;
  };
  Memory memory(kSerfStateNamesMax * std::size_t{8});
  ByteWriter out(memory);
  SerfStateWriter writer(out, {}, kSerfStateNamesMax, kSerfStateNamesMax);
  for (std::uint32_t i = 0; i < kSerfStateNamesMax; ++i) writer.status("a", 1);
  for (std::uint32_t i = 0; i < kSerfStateNamesMax; ++i) writer.left("a");
  REQUIRE(out.ok());
  const auto begin = std::chrono::steady_clock::now();
  Told told;
  CHECK(read_serf_state(out.written(), told));
  CHECK(told.lefts == kSerfStateNamesMax);
  CHECK(told.others == 0);
  // 45 s when each look-up went to every entry of the name.
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(15));
}

}  // namespace
}  // namespace shoal::wire
