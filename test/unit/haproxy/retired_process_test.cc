#include "haproxy/retired_process.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace shoal;
using namespace shoal::haproxy;

namespace {

// As 2.6.12 says it, the lines between left out.
std::string info_of(int connections, bool stopping = true, int pid = 15625) {
  return "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: " + std::to_string(pid) +
         "\nCurrConns: " + std::to_string(connections) + "\nStopping: " + (stopping ? "1" : "0") +
         "\nJobs: 6\nUnstoppable Jobs: 1\nStart_time_sec: 1795259344\nTainted: 0\n";
}

constexpr std::string_view kHead =
    "# pxname,svname,qcur,qmax,scur,smax,status,weight,sid,idle_conn_cur,used_conn_cur,\n";
std::string row_of(const char* server, int queued, int sessions) {
  return "web," + std::string(server) + "," + std::to_string(queued) + ",0," + std::to_string(sessions) +
         ",2,UP,1,7,0,2,\n";
}

struct Bench {
  Bench() : memory(4096), process(RetiredOptions{}) {
    info.pid = 15625;
    info.start_time_sec = 1795259344;
  }
  /// What it writes because of one input.
  template <typename F>
  std::string during(F&& f) {
    ByteWriter out(memory.bytes());
    effects = RetiredEffects{};
    f(out);
    REQUIRE(out.ok());
    return std::string(as_text(out.written()));
  }
  std::string say(std::string_view text) {
    return during([&](ByteWriter& out) { process.on_bytes(now, as_bytes(text), out, effects); });
  }
  std::string pass(Duration duration) {
    now += duration;
    return during([&](ByteWriter& out) { process.on_deadline(now, out, effects); });
  }
  bool watch(const char* server, std::uint32_t id, std::uint32_t tag) {
    return process.watch(now, *BackendName::parse("web"), *ServerName::parse(server), id, tag);
  }
  std::vector<std::pair<std::uint32_t, std::uint64_t>> counts() const {
    std::vector<std::pair<std::uint32_t, std::uint64_t>> out;
    for (std::size_t i = 0; i < effects.counts.size(); ++i)
      out.emplace_back(effects.counts[i].tag, effects.counts[i].in_flight);
    return out;
  }

  Instant now{};
  Info info;
  Buffer memory;
  RetiredEffects effects;
  RetiredProcess process;
};

using Counts = std::vector<std::pair<std::uint32_t, std::uint64_t>>;

}  // namespace

TEST_CASE("An old process is only ever asked, and its connection is closed once no client is left there") {
  Bench b;
  b.process.take_over(b.now, b.info, 0);
  CHECK(b.process.next_deadline() == b.now);
  CHECK(b.pass(0ms) == "show info\n");
  CHECK(b.say(info_of(4) + "\n> ").empty());
  CHECK(!b.effects.ended);
  CHECK(b.process.next_deadline() == b.now + 250ms);
  CHECK(b.pass(249ms).empty());
  CHECK(b.pass(1ms) == "show info\n");
  b.say(info_of(0) + "\n> ");
  CHECK(b.effects.ended);
  CHECK(b.effects.is_finished);
  CHECK(!b.process.is_active());
  CHECK(b.process.next_deadline() == kNever);
}

TEST_CASE("A process without connections that is not stopping yet is not done: it may still accept") {
  Bench b;
  b.process.take_over(b.now, b.info, 0);
  b.pass(0ms);
  b.say(info_of(0, false) + "\n> ");
  CHECK(!b.effects.ended);
  b.pass(250ms);
  b.say(info_of(0, true) + "\n> ");
  CHECK(b.effects.ended);
}

TEST_CASE("A watched server's requests are counted until none is left, which is said once") {
  Bench b;
  b.process.take_over(b.now, b.info, 0);
  CHECK(b.watch("s1", 7, 70));
  CHECK(b.pass(0ms) == "show stat web 4 7\nshow info\n");
  b.say(std::string(kHead) + row_of("s1", 1, 2) + "\n> " + info_of(4) + "\n> ");
  CHECK(b.counts() == Counts{{70, 3}});
  CHECK(b.pass(20ms) == "show stat web 4 7\nshow info\n");
  b.say(std::string(kHead) + row_of("s1", 1, 2) + "\n> " + info_of(4) + "\n> ");
  CHECK(b.counts().empty());  // Nothing new.
  CHECK(b.pass(40ms) == "show stat web 4 7\nshow info\n");
  b.say(std::string(kHead) + row_of("s1", 0, 0) + "\n> ");
  CHECK(b.counts() == Counts{{70, 0}});
  b.say(info_of(1) + "\n> ");
  CHECK(!b.effects.ended);
  CHECK(b.pass(250ms) == "show info\n");
}

TEST_CASE("A row of another server has none of its requests, and what is no table says nothing") {
  Bench b;
  b.process.take_over(b.now, b.info, 0);
  CHECK(b.watch("s1", 7, 70));
  CHECK(b.watch("s2", 8, 80));
  CHECK(b.pass(0ms) == "show stat web 4 7\nshow stat web 4 8\nshow info\n");
  b.say(std::string(kHead) + row_of("other", 0, 5) + "\n> Permission denied\n\n> " + info_of(4) + "\n> ");
  CHECK(b.counts() == Counts{{70, 0}});
  CHECK(b.pass(250ms) == "show stat web 4 8\nshow info\n");
}

TEST_CASE("While a watched server has requests the process is not let go, whatever its connections say") {
  Bench b;
  b.process.take_over(b.now, b.info, 0);
  CHECK(b.watch("s1", 7, 70));
  b.pass(0ms);
  b.say(std::string(kHead) + row_of("s1", 0, 1) + "\n> " + info_of(0) + "\n> ");
  CHECK(!b.effects.ended);
  b.pass(250ms);
  b.say(std::string(kHead) + row_of("s1", 0, 0) + "\n> " + info_of(0) + "\n> ");
  CHECK(b.effects.ended);
  CHECK(b.effects.is_finished);
}

TEST_CASE("Answers to what was asked before it was old are skipped, however they are cut and however long they are") {
  const std::string before = "x> \n>" + std::string(100'000, 'y') + "\n> New server registered.\n\n> ";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{8192}}) {
    Bench b;
    b.process.take_over(b.now, b.info, 2);
    CHECK(b.watch("s1", 7, 70));
    CHECK(b.pass(0ms).empty());
    for (std::size_t i = 0; i < before.size(); i += piece) {
      CHECK(b.process.next_deadline() > b.now);
      CHECK(b.say(std::string_view(before).substr(i, piece)).empty());
    }
    CHECK(b.counts().empty());
    CHECK(b.pass(0ms) == "show stat web 4 7\nshow info\n");
    b.say(std::string(kHead) + row_of("s1", 0, 1) + "\n> " + info_of(1) + "\n> ");
    CHECK(b.counts() == Counts{{70, 1}});
  }
}

TEST_CASE("Many servers are asked about in turns, also those that are added during a round") {
  Bench b;
  b.process.take_over(b.now, b.info, 0);
  std::vector<int> asked(50, 0);
  for (std::uint32_t i = 0; i < 40; ++i) REQUIRE(b.watch(("s" + std::to_string(i)).c_str(), i + 1, i));
  for (int round = 0; round < 6; ++round) {
    const std::string lines = b.pass(250ms);
    if (round == 0) {
      for (std::uint32_t i = 40; i < 50; ++i) REQUIRE(b.watch(("s" + std::to_string(i)).c_str(), i + 1, i));
    }
    std::string answer;
    for (std::size_t at = 0; (at = lines.find("web 4 ", at)) != std::string::npos; ++at) {
      const int id = std::stoi(lines.substr(at + 6));
      ++asked[static_cast<std::size_t>(id - 1)];
      answer += std::string(kHead) + row_of(("s" + std::to_string(id - 1)).c_str(), 0, id) + "\n> ";
    }
    b.say(answer + info_of(9) + "\n> ");
    for (const auto& [tag, in_flight] : b.counts()) CHECK(in_flight == tag + 1);
  }
  for (const int times : asked) CHECK(times >= 2);
}

TEST_CASE("No more servers are watched than there is room for, and one that is done makes room") {
  Bench b;
  b.process.take_over(b.now, b.info, 0);
  for (std::uint32_t i = 0; i < RetiredProcess::kWatchedMax; ++i) REQUIRE(b.watch("s1", 7, i));
  CHECK(!b.watch("s1", 7, 999));
  b.pass(0ms);
  std::string answer;
  for (std::size_t i = 0; i < RetiredEffects::kQuestionsMax; ++i)
    answer += std::string(kHead) + row_of("s1", 0, 0) + "\n> ";
  b.say(answer + info_of(1) + "\n> ");
  CHECK(b.effects.counts.full());
  CHECK(b.watch("s1", 7, 999));
}

TEST_CASE("An old process that is silent, floods, says too much or becomes another one is given up, and said so") {
  const auto broken = [](auto&& f) {
    Bench b;
    b.process.take_over(b.now, b.info, 0);
    b.pass(0ms);
    f(b);
    CHECK(b.effects.ended);
    CHECK(!b.effects.why.empty());
    CHECK(!b.process.is_active());
    return b.effects.is_finished;
  };
  CHECK(!broken([](Bench& b) { b.pass(2s); }));
  CHECK(!broken([](Bench& b) {
    for (int i = 0; i < 9 && !b.effects.ended; ++i) b.say(std::string(4096, 'x'));
  }));
  CHECK(!broken([](Bench& b) { b.say(info_of(1) + "\n> " + "more\n> "); }));
  CHECK(!broken([](Bench& b) { b.say("nonsense\n> "); }));
  CHECK(broken([](Bench& b) { b.say(info_of(1, false, 2) + "\n> "); }));
  CHECK(broken([](Bench& b) { b.process.on_closed(b.effects); }));
  CHECK(!broken([](Bench& b) {
    for (int i = 0; i < 20'000 && !b.effects.ended; ++i) {
      if (!b.say(info_of(1) + "\n> ").empty() || b.effects.ended) break;
      b.pass(250ms);
    }
    CHECK(b.now >= Instant{} + 1h);
  }));
}

TEST_CASE("Over the master's socket an old worker is reached by its process id") {
  Bench b;
  b.process.reach(b.now, b.info);
  CHECK(b.during([&](ByteWriter& out) { b.process.on_connected(b.now, out); }) == "prompt\n");
  CHECK(b.watch("s1", 7, 70));
  CHECK(b.say("master[Reload").empty());
  CHECK(b.say("Failed]> ") == "@!15625 show stat web 4 7\n@!15625 show info\n");
  b.say(std::string(kHead) + row_of("s1", 0, 2) + "\nmaster[ReloadFailed]> " + info_of(4) + "\nmaster> ");
  CHECK(b.counts() == Counts{{70, 2}});
  b.pass(20ms);
  b.say("Can't find the target PID matching the prefix '@!15625'\n");
  CHECK(!b.effects.ended);
  b.process.on_closed(b.effects);
  CHECK(b.effects.is_finished);
}
