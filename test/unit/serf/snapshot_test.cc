// Reading a snapshot; snapshot_writer_test.cc has the writing.
#include "serf/snapshot.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "base/rng.h"

namespace shoal::serf {
namespace {

using Names = std::set<std::string>;

SnapshotReplay replayed(std::string_view file, bool rejoin_after_leave = false, std::size_t members_max = 100) {
  SnapshotReplay replay(members_max, rejoin_after_leave);
  replay.on_bytes(as_bytes(file));
  return replay;
}

Names nodes(const SnapshotReplay& replay) {
  Names out;
  for (const Slot slot : replay.nodes().slots()) {
    const SnapshotNode& node = replay.nodes()[slot];
    out.insert(std::string(node.name.view()) + " @ " + std::string(to_text(node.endpoint).view()));
  }
  return out;
}

// What `serf agent -snapshot` left behind.
constexpr std::string_view kFile =
    "alive: me 10.0.0.1:7946\n"
    "clock: 1\n"
    "alive: web 1 10.0.0.7:7946\n"
    "alive: db [2001:db8::7]:7947\n"
    "event-clock: 3\n"
    "clock: 12\n"
    "query-clock: 40\n"
    "not-alive: db\n"
    "alive: me 10.0.0.1:7946\n"
    "alive: web 1 10.0.0.8:7948\n"
    "clock: 13\n";

TEST_CASE("a file is replayed in order: the last word about each member and each clock counts") {
  const SnapshotReplay replay = replayed(kFile);
  CHECK(nodes(replay) == Names{"me @ 10.0.0.1:7946", "web 1 @ 10.0.0.8:7948"});
  CHECK(replay.clocks() == SnapshotClocks{13, 3, 40});
  CHECK(!replay.left());
  CHECK(!replay.cut_off());
  CHECK(replay.lines_bad() == 0);
  CHECK(replay.size_bytes() == kFile.size());
}

TEST_CASE("the last space splits, names keep theirs, and IPv6 stands in brackets") {
  const SnapshotReplay replay =
      replayed("alive:  a  b  10.0.0.1:1\nalive: c [::1]:65535\nalive: 10.0.0.2:2 10.0.0.3:3\nnot-alive: c \n");
  CHECK(nodes(replay) == Names{" a  b  @ 10.0.0.1:1", "c @ [::1]:65535", "10.0.0.2:2 @ 10.0.0.3:3"});
  CHECK(replay.lines_bad() == 0);
}

TEST_CASE("the pieces of the file may end anywhere") {
  Rng rng(1);
  for (std::size_t piece = 1; piece < 40; ++piece) {
    SnapshotReplay replay(100, false);
    for (std::string_view left = kFile; !left.empty();) {
      const std::size_t size = std::min<std::size_t>(left.size(), rng.below(std::uint64_t{piece}) + 1);
      replay.on_bytes(as_bytes(left.substr(0, size)));
      replay.on_bytes({});
      left.remove_prefix(size);
    }
    CHECK(nodes(replay) == Names{"me @ 10.0.0.1:7946", "web 1 @ 10.0.0.8:7948"});
    CHECK(replay.clocks() == SnapshotClocks{13, 3, 40});
  }
}

TEST_CASE("a last line without a newline is ignored, whatever it would have said") {
  for (const std::string_view tail : {"alive: late 10.0.0.9:79", "not-alive: web 1", "leave", "clock: 9", "x"}) {
    CAPTURE(tail);
    const SnapshotReplay replay = replayed(std::string(kFile) + std::string(tail));
    CHECK(nodes(replay) == Names{"me @ 10.0.0.1:7946", "web 1 @ 10.0.0.8:7948"});
    CHECK(replay.clocks() == SnapshotClocks{13, 3, 40});
    CHECK(replay.cut_off());
    CHECK(!replay.left());
    CHECK(replay.lines_bad() == 0);
  }
}

TEST_CASE("a leave voids all before it, unless the node is to rejoin after a leave") {
  const std::string file = std::string(kFile) + "leave\n";
  const SnapshotReplay gone = replayed(file);
  CHECK(gone.left());
  CHECK(nodes(gone).empty());
  CHECK(gone.clocks() == SnapshotClocks{});
  const SnapshotReplay back = replayed(file, true);
  CHECK(back.left());
  CHECK(nodes(back).size() == 2);
  CHECK(back.clocks() == SnapshotClocks{13, 3, 40});
  // Serf may write a clock behind it, and the next start goes on behind that.
  const SnapshotReplay clock = replayed(file + "clock: 14\n");
  CHECK(clock.left());
  CHECK(clock.clocks() == SnapshotClocks{14, 0, 0});
  const SnapshotReplay again = replayed(file + "alive: new 10.0.0.2:1\n");
  CHECK(!again.left());
  CHECK(nodes(again) == Names{"new @ 10.0.0.2:1"});
}

TEST_CASE("old coordinates and comments are ignored; what is not understood is ignored and counted") {
  CHECK(replayed("coordinate: {\"Vec\":[0]}\n# a comment\n#\n").lines_bad() == 0);
  for (const std::string_view line : {"",
                                      " ",
                                      "alive:",
                                      "alive: ",
                                      "alive: a",
                                      "alive: 10.0.0.1:1",
                                      "alive:  10.0.0.1:1",
                                      "alive: a 10.0.0.1",
                                      "alive: a 10.0.0.1:",
                                      "alive: a 10.0.0.1:65536",
                                      "alive: a 10.0.0.1:-1",
                                      "alive: a ::1:80",
                                      "alive: a host:80",
                                      "alive: a [fe80::1%eth0]:80",
                                      "alive: a 10.0.0.1:1 ",
                                      "alive: a 10.0.0.1:1\r",
                                      "Alive: a 10.0.0.1:1",
                                      " alive: a 10.0.0.1:1",
                                      "alive:a 10.0.0.1:1",
                                      "clock: ",
                                      "clock: x",
                                      "clock: -1",
                                      "clock: +1",
                                      "clock: 1 ",
                                      "clock: 18446744073709551616",
                                      "clock: 18446744073709551615",
                                      "clock: 72339069014638592",
                                      "event-clock: 1x",
                                      "query-clock: 0x1",
                                      "clock:1",
                                      "left",
                                      "leave ",
                                      "LEAVE",
                                      "coordinate",
                                      "not-alive:a",
                                      "\x01\x02"}) {
    CAPTURE(line);
    const SnapshotReplay replay =
        replayed("clock: 5\nalive: z 10.0.0.9:9\n" + std::string(line) + "\nevent-clock: 6\n");
    CHECK(replay.lines_bad() == 1);
    CHECK(replay.clocks() == SnapshotClocks{5, 6, 0});
    CHECK(nodes(replay) == Names{"z @ 10.0.0.9:9"});
  }
  CHECK(replayed("clock: 72339069014638591\n").clocks().member == LamportClock::kTimeAbsurd - 1);
}

TEST_CASE("a line that is too long is skipped to its end and counted; the longest that means something is read") {
  const std::string longest(swim::kNameBytesMax, 'n');
  const std::string address = "[1111:2222:3333:4444:5555:6666:7777:8888]:65535";
  const SnapshotReplay fits = replayed("alive: " + longest + " " + address + "\n");
  CHECK(nodes(fits) == Names{longest + " @ " + address});
  CHECK(replayed("alive: n" + longest + " 10.0.0.1:1\n").lines_bad() == 1);

  SnapshotReplay replay(10, false);
  replay.on_bytes(as_bytes("clock: 3\n"));
  const std::string rubbish(10'000, 'x');
  for (int i = 0; i < 100; ++i) replay.on_bytes(as_bytes(rubbish));
  CHECK(replay.cut_off());
  CHECK(replay.lines_long() == 0);
  replay.on_bytes(as_bytes("leave\nclock: 4\n"));  // The end of the same line, not a leave.
  CHECK(replay.lines_long() == 1);
  CHECK(replay.clocks().member == 4);
  CHECK(!replay.left());
  CHECK(!replay.cut_off());
  CHECK(replayed(std::string(SnapshotReplay::kLineMax, '#') + "\n").lines_long() == 0);
  CHECK(replayed(std::string(SnapshotReplay::kLineMax + 1, '#') + "\n").lines_long() == 1);
}

TEST_CASE("no more members than there is room for; the others are counted, and known ones may still change") {
  const SnapshotReplay replay = replayed(
      "alive: a 10.0.0.1:1\nalive: b 10.0.0.2:2\nalive: c 10.0.0.3:3\nalive: a 10.0.0.4:4\nnot-alive: b\n"
      "alive: d 10.0.0.5:5\n",
      false, 2);
  CHECK(nodes(replay) == Names{"a @ 10.0.0.4:4", "d @ 10.0.0.5:5"});
  CHECK(replay.nodes_too_many() == 1);
}

TEST_CASE("whatever a damaged file says, members have a name and a whole address") {
  Rng rng(3);
  for (int i = 0; i < 5'000; ++i) {
    std::string file(kFile);
    for (std::uint64_t n = 1 + rng.below(std::uint64_t{8}); n > 0; --n) {
      const std::size_t where = rng.below(std::uint64_t{file.size()});
      if (rng.one_in(2)) {
        file[where] = static_cast<char>(rng.next());
      } else {
        file.erase(where, rng.below(std::uint64_t{12}));
        if (file.empty()) file = "\n";
      }
    }
    const SnapshotReplay replay = replayed(file, rng.one_in(2), 2);
    CHECK(replay.nodes().size() <= 2);
    for (const Slot slot : replay.nodes().slots()) {
      CHECK(!replay.nodes()[slot].name.empty());
      CHECK(!replay.nodes()[slot].endpoint.addr.empty());
    }
    CHECK(replay.clocks().member < LamportClock::kTimeAbsurd);
  }
}

}  // namespace
}  // namespace shoal::serf
