// Writing a snapshot, against a disk in memory that can fail in the middle of a write.
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "base/rng.h"
#include "serf/snapshot.h"

namespace shoal::serf {
namespace {

using Kind = SnapshotEffect::Kind;
using Truth = std::map<std::string, std::string>;

Truth nodes(const SnapshotReplay& replay) {
  Truth out;
  for (const Slot slot : replay.nodes().slots()) {
    const SnapshotNode& node = replay.nodes()[slot];
    out[std::string(node.name.view())] = to_text(node.endpoint).view();
  }
  return out;
}

Endpoint endpoint(std::uint16_t port) { return {IpAddress::v4(10, 0, 0, 1), port}; }

struct Disk {
  explicit Disk(std::string before = "", const SnapshotOptions& options = {})
      : file(std::move(before)), options_(options), writer(options, replayed()) {}

  [[nodiscard]] SnapshotReplay replayed() const {
    SnapshotReplay replay(options_.members_max, options_.rejoin_after_leave);
    replay.on_bytes(as_bytes(file));
    return replay;
  }
  bool do_it(const SnapshotEffect& effect) {
    switch (effect.kind) {
      case Kind::kAppend:
        steps += "append ";
        if (fails) {
          file += as_text(effect.bytes).substr(0, partial(effect.bytes.size()));
          return false;
        }
        file += as_text(effect.bytes);
        return true;
      case Kind::kSync:
        steps += "sync ";
        if (!fails) synced = file;
        return !fails;
      case Kind::kBeginCompaction:
        steps += "begin ";
        if (!compaction_fails) compact.clear();
        return !compaction_fails;
      case Kind::kCompactionPart:
        steps += "part ";
        compact += as_text(effect.bytes);
        return !part_fails;
      case Kind::kFinishCompaction:
        steps += "finish ";
        if (!finish_fails) file = synced = std::exchange(compact, "gone");
        return !finish_fails;
    }
    return false;
  }
  std::size_t partial(std::size_t size) { return rng.below(std::uint64_t{size}); }
  /// One effect; false when there is none.
  bool step() {
    const auto effect = writer.take_effect(now);
    if (!effect) return false;
    CHECK(!writer.take_effect(now));  // One at a time.
    CHECK(writer.next_deadline() == kNever);
    if (do_it(*effect)) {
      writer.on_written(now);
    } else {
      writer.on_write_failed(now);
    }
    return true;
  }
  void work() {
    for (int i = 0; step(); ++i) REQUIRE(i < 10'000);
    CHECK(writer.next_deadline() > now);  // Nothing is due that is not done.
  }
  void pass(Duration time) {
    const Instant end = now + time;
    while (writer.next_deadline() <= end) {
      now = std::max(now, writer.next_deadline());
      work();
    }
    now = end;
  }
  std::string took() { return std::exchange(steps, ""); }

  std::string file, compact, synced, steps;
  bool fails = false, compaction_fails = false, part_fails = false, finish_fails = false;
  Instant now = Instant{} + 1h;
  Rng rng{11};
  SnapshotOptions options_;
  SnapshotWriter writer;
};

TEST_CASE("members and clocks become lines that serf reads too") {
  Disk disk;
  disk.writer.on_member_alive("me", endpoint(7946));
  disk.writer.on_member_alive("web 1", {*IpAddress::parse("2001:db8::7"), 7947});
  disk.writer.on_member_alive("six", {*IpAddress::parse("::ffff:10.0.0.6"), 6});
  disk.writer.on_clocks({12, 0, 0});
  disk.writer.on_member_gone("me");
  disk.writer.on_clocks({13, 0, 5});
  disk.work();
  CHECK(disk.file ==
        "alive: me 10.0.0.1:7946\nalive: web 1 [2001:db8::7]:7947\nalive: six 10.0.0.6:6\nnot-alive: me\nclock: "
        "13\nquery-clock: 5\n");
  CHECK(disk.took() == "append ");
  CHECK(nodes(disk.replayed()) == Truth{{"web 1", "[2001:db8::7]:7947"}, {"six", "10.0.0.6:6"}});
  CHECK(disk.replayed().clocks() == SnapshotClocks{13, 0, 5});
}

TEST_CASE("the first line goes at once, the next half a second later, with all that came meanwhile") {
  Disk disk;
  CHECK(disk.writer.next_deadline() == kNever);
  disk.writer.on_clocks({1, 0, 0});
  disk.work();
  CHECK(disk.file == "clock: 1\n");
  disk.pass(100ms);
  disk.writer.on_clocks({2, 0, 0});
  disk.work();
  CHECK(disk.file == "clock: 1\n");
  CHECK(disk.writer.next_deadline() == disk.now + 400ms);
  disk.writer.on_member_alive("a", endpoint(1));
  disk.writer.on_clocks({3, 7, 0});
  disk.pass(399ms);
  CHECK(disk.file == "clock: 1\n");
  disk.pass(1ms);
  CHECK(disk.file == "clock: 1\nalive: a 10.0.0.1:1\nclock: 3\nevent-clock: 7\n");
  disk.pass(10s);
  disk.writer.on_clocks({3, 7, 0});
  disk.writer.on_clocks({2, 1, 0});  // Clocks do not go back.
  disk.pass(10s);
  CHECK(disk.took() == "append append ");
}

TEST_CASE("what the file says already is not said again; a new address is") {
  Disk disk("alive: a 10.0.0.1:1\nclock: 4\n");
  CHECK(disk.writer.alive() == 1);
  disk.writer.on_member_alive("a", endpoint(1));
  disk.writer.on_member_gone("stranger");
  disk.writer.on_clocks({4, 0, 0});
  disk.pass(1s);
  CHECK(disk.took().empty());
  disk.writer.on_member_alive("a", endpoint(2));
  disk.pass(1s);
  CHECK(nodes(disk.replayed()) == Truth{{"a", "10.0.0.1:2"}});
}

TEST_CASE("a name that would forge a line is never written") {
  Disk disk;
  const std::string_view bad[] = {"a\nleave", "\n",      "tab\tbed", "\x7f", std::string_view("nul\0", 4),
                                  "cr\r",     "\x1b[2J", ""};
  for (const std::string_view name : bad) {
    disk.writer.on_member_alive(name, endpoint(1));
    disk.writer.on_member_gone(name);
  }
  disk.writer.on_member_alive(std::string(swim::kNameBytesMax + 1, 'n'), endpoint(1));
  disk.writer.on_member_alive("no address", {});
  disk.pass(1s);
  CHECK(disk.file.empty());
  CHECK(disk.writer.names_refused() == std::size(bad) + 2);
  disk.writer.on_member_alive("b\xc3\xa4r", endpoint(1));
  disk.pass(1s);
  CHECK(disk.file == "alive: b\xc3\xa4r 10.0.0.1:1\n");
  // One that is in the file, since another program put it there, goes with the next compaction: at once.
  Disk old("alive: a\tb 10.0.0.1:1\nalive: c 10.0.0.2:2\n");
  old.work();
  CHECK(old.file == "alive: c 10.0.0.2:2\nclock: 0\nevent-clock: 0\nquery-clock: 0\n");
}

TEST_CASE("a leave is written and synced at once, and nothing after it") {
  for (const bool rejoin : {false, true}) {
    Disk disk("", {.rejoin_after_leave = rejoin});
    disk.writer.on_member_alive("a", endpoint(1));
    disk.work();
    disk.writer.on_clocks({9, 0, 0});
    disk.writer.leave();
    disk.work();
    CHECK(disk.file == "alive: a 10.0.0.1:1\nclock: 9\nleave\n");
    CHECK(disk.synced == disk.file);
    disk.writer.on_member_alive("b", endpoint(2));
    disk.writer.on_member_gone("a");
    disk.writer.on_clocks({10, 1, 1});
    disk.writer.leave();
    disk.pass(1min);
    CHECK(disk.took() == "append append sync ");
    CHECK(disk.writer.next_deadline() == kNever);
    CHECK(nodes(disk.replayed()).size() == (rejoin ? 1 : 0));
    CHECK(disk.replayed().clocks().member == (rejoin ? 9 : 0));
  }
}

TEST_CASE("at the end of the program all is written and synced, and then it is closed") {
  Disk disk;
  disk.writer.on_member_alive("a", endpoint(1));
  disk.work();
  disk.writer.on_member_gone("a");
  CHECK(!disk.writer.closed(disk.now));
  disk.writer.close();
  CHECK(!disk.writer.closed(disk.now));
  disk.step();
  CHECK(!disk.writer.closed(disk.now));
  disk.work();
  CHECK(disk.writer.closed(disk.now));
  CHECK(disk.synced == "alive: a 10.0.0.1:1\nnot-alive: a\n");
  CHECK(disk.took() == "append append sync ");
  Disk broken;
  broken.fails = broken.compaction_fails = true;
  broken.writer.on_member_alive("a", endpoint(1));
  broken.work();
  broken.writer.close();
  broken.work();
  CHECK(broken.writer.closed(broken.now));  // It has tried once more.
  CHECK(broken.took() == "append begin begin ");
}

TEST_CASE("a file that has grown is written anew from what is true, beside the old one") {
  Disk disk;
  disk.writer.on_clocks({5, 6, 7});
  for (int i = 0; i < 100; ++i) disk.writer.on_member_alive("node " + std::to_string(i), endpoint(1));
  disk.work();
  std::uint16_t port = 1;
  while (disk.writer.compactions() == 0) {
    const std::size_t before = disk.file.size();
    disk.writer.on_member_alive("node 3", endpoint(++port));
    disk.writer.on_member_gone("node " + std::to_string(port % 90 + 4));
    disk.writer.on_member_alive("node " + std::to_string(port % 90 + 4), endpoint(port));
    disk.pass(500ms);
    REQUIRE((disk.writer.compactions() == 1) == (before <= 128 * 1024 && disk.file.size() < before));
  }
  CHECK(disk.took().find("append begin part finish ") != std::string::npos);
  CHECK(disk.file.size() < 4'000);
  CHECK(nodes(disk.replayed()).size() == 100);
  CHECK(nodes(disk.replayed())["node 3"] == "10.0.0.1:" + std::to_string(port));
  const std::string tail = "\nclock: 5\nevent-clock: 6\nquery-clock: 7\n";
  CHECK(disk.file.substr(disk.file.size() - tail.size()) == tail);
  CHECK(disk.synced == disk.file);
  disk.writer.on_member_gone("node 3");  // It goes on in the new file.
  disk.pass(1s);
  CHECK(nodes(disk.replayed()).count("node 3") == 0);
}

TEST_CASE("many members are allowed a larger file, and long names do not make it compact for ever") {
  const std::string long_name(200, 'n');
  Disk disk("", {.members_max = 5'000});
  for (int i = 0; i < 5'000; ++i) {
    disk.writer.on_member_alive(long_name + std::to_string(i),
                                {*IpAddress::parse("1111:2222:3333:4444:5555:6666:7777:8888"), 65535});
    if (i % 100 == 99) disk.pass(500ms);
  }
  CHECK(disk.file.size() > 5'000 * 256);  // More than serf's measure, and as small as it can be.
  CHECK(nodes(disk.replayed()).size() == 5'000);
  disk.pass(1s);
  const std::uint64_t compactions = disk.writer.compactions();
  for (LamportTime i = 1; i <= 1'000; ++i) {
    disk.writer.on_clocks({i, i, i});
    disk.pass(500ms);
  }
  CHECK(disk.writer.compactions() == compactions);
}

TEST_CASE("who comes and goes while the file is written anew is right afterwards") {
  Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    Disk disk("", {.compact_size_min = 100});
    Truth truth;
    const auto change = [&](const std::string& prefix) {
      const std::string name = prefix + std::to_string(rng.below(std::uint64_t{200})) + std::string(200, 'x');
      if (rng.one_in(2)) {
        const auto port = static_cast<std::uint16_t>(rng.below(std::uint64_t{60'000}) + 1);
        disk.writer.on_member_alive(name, endpoint(port));
        truth[name] = "10.0.0.1:" + std::to_string(port);
      } else {
        disk.writer.on_member_gone(name);
        truth.erase(name);
      }
    };
    for (int i = 0; i < 100; ++i) change("a");
    disk.pass(1s);
    disk.took();
    for (int i = 0; i < 1'000 && disk.took().find("finish") == std::string::npos; ++i) {
      disk.now += 500ms;
      change("a");
      disk.step();
    }
    change("a");
    disk.pass(1min);
    CHECK(disk.writer.compactions() > 0);
    CHECK(nodes(disk.replayed()) == truth);
    CHECK(disk.writer.lines_dropped() == 0);
  }
}

TEST_CASE("after a failed write nothing is appended: the file is written anew, at once and then every 30 s") {
  Disk disk;
  disk.writer.on_member_alive("a", endpoint(1));
  disk.work();
  disk.fails = disk.compaction_fails = true;
  disk.pass(1s);
  disk.writer.on_member_alive("b", endpoint(2));
  disk.work();
  CHECK(disk.took() == "append append begin ");
  CHECK(disk.writer.next_deadline() == disk.now + 30s);
  disk.fails = false;  // Even so: half of a line may be at the end of it.
  disk.writer.on_member_gone("a");
  disk.writer.on_clocks({3, 0, 0});
  disk.pass(29s);
  CHECK(disk.took().empty());
  disk.pass(1s);
  CHECK(disk.took() == "begin ");
  disk.compaction_fails = false;
  disk.pass(29s);
  CHECK(disk.took().empty());
  disk.pass(1s);
  CHECK(disk.took() == "begin part finish ");
  CHECK(disk.file == "alive: b 10.0.0.1:2\nclock: 3\nevent-clock: 0\nquery-clock: 0\n");
  CHECK(disk.writer.write_errors() == 3);
  disk.writer.on_member_gone("b");
  disk.pass(1s);
  CHECK(disk.took() == "append ");
}

TEST_CASE("a compaction that fails at any step leaves a good file that goes on") {
  for (const int where : {0, 1, 2}) {
    CAPTURE(where);
    std::string before = "alive: a 10.0.0.1:1\nalive: b 10.0.0.1:2\n";
    while (before.size() < 600) before += "clock: 1\n";  // It says little in many lines.
    Disk disk(before, {.compact_size_min = 60});
    (where == 0 ? disk.compaction_fails : where == 1 ? disk.part_fails : disk.finish_fails) = true;
    disk.writer.on_member_gone("a");
    disk.writer.on_clocks({1, 2, 3});
    disk.work();
    CHECK(disk.writer.compactions() == 0);
    CHECK(disk.writer.write_errors() == 1);
    disk.pass(1s);
    disk.writer.on_member_alive("c", endpoint(3));
    disk.pass(1s);
    CHECK(nodes(disk.replayed()) == Truth{{"b", "10.0.0.1:2"}, {"c", "10.0.0.1:3"}});
    CHECK(disk.replayed().clocks() == SnapshotClocks{1, 2, 3});
    disk.compaction_fails = disk.part_fails = disk.finish_fails = false;
    disk.pass(29s);
    CHECK(disk.writer.compactions() == 1);
    CHECK(nodes(disk.replayed()) == Truth{{"b", "10.0.0.1:2"}, {"c", "10.0.0.1:3"}});
  }
}

TEST_CASE("a sync that fails makes the file suspect; the leave is in the new one") {
  Disk disk;
  disk.writer.on_member_alive("a", endpoint(1));
  disk.work();
  disk.writer.leave();
  disk.step();
  CHECK(disk.took() == "append append ");
  disk.fails = true;
  disk.work();
  CHECK(disk.took() == "sync begin part finish ");
  CHECK(disk.file == "clock: 0\nevent-clock: 0\nquery-clock: 0\nleave\n");
}

TEST_CASE("a leave gets a last chance when the file could not be written") {
  Disk disk;
  disk.fails = disk.compaction_fails = true;
  disk.writer.on_member_alive("a", endpoint(1));
  disk.work();
  disk.took();
  disk.fails = disk.compaction_fails = false;
  disk.pass(1s);
  disk.writer.leave();
  disk.work();
  CHECK(disk.took() == "begin part finish sync ");
  CHECK(disk.replayed().left());
  CHECK(nodes(disk.replayed()).empty());
}

TEST_CASE("a file cut off in a line is written anew before anything is added") {
  Disk disk("alive: a 10.0.0.1:1\nclock: 4\nalive: b 10.0.");
  disk.writer.on_member_alive("c", endpoint(3));
  disk.work();
  CHECK(disk.took() == "begin part finish ");
  CHECK(disk.file == "alive: a 10.0.0.1:1\nalive: c 10.0.0.1:3\nclock: 4\nevent-clock: 0\nquery-clock: 0\n");
}

/// 40 kB of lines within half a second; the last words about "ghost" and "first" do not fit.
Truth flood(Disk& disk) {
  disk.writer.on_member_alive("first", endpoint(1));
  disk.work();
  disk.writer.on_member_alive("ghost", endpoint(1));
  Truth truth;
  for (int i = 0; i < 1'500; ++i) {
    const std::string name = "node " + std::to_string(i);
    disk.writer.on_member_alive(name, endpoint(9));
    if (i % 3 == 0) {
      disk.writer.on_member_gone(name);
    } else {
      truth[name] = "10.0.0.1:9";
    }
  }
  disk.writer.on_member_gone("first");
  disk.writer.on_member_gone("ghost");
  CHECK(disk.writer.lines_dropped() > 0);
  CHECK(disk.took() == "append ");
  return truth;
}

TEST_CASE("more lines than can wait: the file is written anew, with the truth") {
  Disk disk("", {.members_max = 2'000});
  const Truth truth = flood(disk);
  disk.work();
  CHECK(disk.took() == "begin part part finish ");
  CHECK(nodes(disk.replayed()) == truth);
  disk.pass(1min);
  CHECK(nodes(disk.replayed()) == truth);
}

TEST_CASE("when that fails it is tried again; a leave is in the file in any case") {
  Disk disk("", {.members_max = 2'000});
  const Truth truth = flood(disk);
  disk.part_fails = true;
  disk.pass(29s);
  CHECK(disk.took() == "begin part ");
  disk.part_fails = false;
  disk.pass(1s);
  CHECK(disk.took() == "begin part part finish ");
  CHECK(nodes(disk.replayed()) == truth);

  Disk leaving("", {.members_max = 2'000});
  (void)flood(leaving);
  leaving.part_fails = true;
  leaving.writer.leave();
  leaving.work();
  CHECK(leaving.took() == "begin part append sync ");
  CHECK(leaving.replayed().left());
}

TEST_CASE("a disk that takes new files but no lines is not rewritten more often than every 30 s") {
  Disk disk;
  disk.fails = true;
  disk.writer.on_member_alive("a", endpoint(1));
  disk.work();
  CHECK(disk.took() == "append begin part finish ");
  disk.pass(1s);
  disk.writer.on_member_alive("b", endpoint(2));
  disk.pass(28s);
  CHECK(disk.took() == "append ");
  disk.pass(1s);
  CHECK(disk.took() == "begin part finish ");
  CHECK(nodes(disk.replayed()).size() == 2);
}

TEST_CASE("a full table lets go of who is in the file only, never of who lives") {
  Disk disk("alive: old 10.0.0.1:1\nalive: older 10.0.0.1:2\n", {.members_max = 2});
  disk.writer.on_member_alive("older", endpoint(2));
  disk.writer.on_member_alive("new", endpoint(3));
  disk.writer.on_member_alive("too many", endpoint(4));
  CHECK(disk.writer.members_dropped() == 1);
  disk.pass(1s);
  CHECK(nodes(disk.replayed()) == Truth{{"older", "10.0.0.1:2"}, {"new", "10.0.0.1:3"}});
}

// Members come and go, the disk fails now and then in the middle of a write, and the machine may stop at any step.
TEST_CASE("whatever fails, the file is never worse than it was, and right when the disk is") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    Disk disk("", {.members_max = 60, .compact_size_min = 500});
    disk.rng = rng.fork();
    Truth truth;
    SnapshotClocks clocks;
    for (int i = 0; i < 2'000; ++i) {
      const std::string name = "n" + std::to_string(rng.below(std::uint64_t{60}));
      const auto port = static_cast<std::uint16_t>(rng.below(std::uint64_t{5}) + 1);
      if (rng.one_in(3)) {
        disk.writer.on_member_gone(name);
        truth.erase(name);
      } else {
        disk.writer.on_member_alive(name, endpoint(port));
        truth[name] = "10.0.0.1:" + std::to_string(port);
      }
      clocks.member += rng.below(std::uint64_t{2});
      clocks.query += rng.below(std::uint64_t{3});
      disk.writer.on_clocks(clocks);
      disk.fails = rng.one_in(20);
      disk.compaction_fails = rng.one_in(6);
      disk.part_fails = rng.one_in(6);
      disk.finish_fails = rng.one_in(6);
      if (rng.one_in(2)) disk.step();
      disk.now += rng.below(Duration{2s});
      const SnapshotReplay replay = disk.replayed();
      REQUIRE(replay.lines_bad() == 0);  // Half a line may stand at its end, nowhere else.
      REQUIRE(replay.lines_long() == 0);
      REQUIRE(replay.clocks().member <= clocks.member);
    }
    disk.fails = disk.compaction_fails = disk.part_fails = disk.finish_fails = false;
    disk.pass(31s);
    CHECK(nodes(disk.replayed()) == truth);
    CHECK(disk.replayed().clocks() == clocks);
    CHECK(disk.writer.write_errors() > 0);
    CHECK(disk.writer.compactions() > 0);
    // The next life begins with it.
    Disk next(disk.file, disk.options_);
    CHECK(next.writer.alive() == truth.size());
    next.writer.leave();
    next.work();
    CHECK(nodes(next.replayed()).empty());
  }
}

}  // namespace
}  // namespace shoal::serf
