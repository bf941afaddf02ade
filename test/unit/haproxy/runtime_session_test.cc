#include "haproxy/runtime_session.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace shoal;
using namespace shoal::haproxy;

namespace {

std::string info_of(int pid, bool stopping = false, const char* version = "2.6.12") {
  return "Version: " + std::string(version) + "\nPid: " + std::to_string(pid) +
         "\nStopping: " + (stopping ? "1" : "0") + "\nStart_time_sec: 100\n";
}

/// A session driven by hand: what it writes is checked, what HAProxy says is given byte for byte.
struct Bench {
  explicit Bench(const SessionOptions& given = SessionOptions{})
      : options(given), out(given), session(given, Rng(1), now) {}

  std::string written(Stream stream = Stream::kMain) { return std::string(as_text(out.to_write(stream))); }
  void say(std::string_view text, Stream stream = Stream::kMain) { session.on_bytes(now, stream, as_bytes(text), out); }
  /// A reply and the prompt.
  void reply(std::string_view text) { say(std::string(text) + "\n> "); }
  void pass(Duration duration) {
    now += duration;
    session.on_deadline(now, out);
  }
  void become_ready(int pid = 1) {
    session.on_deadline(now, out);
    REQUIRE(out.wants_connect(Stream::kMain));
    out.clear();
    session.on_connected(now, Stream::kMain, out);
    CHECK(written() == "prompt\n");
    out.clear();
    say("\n> ");
    CHECK(written() == "show info\n");
    out.clear();
    reply(info_of(pid));
    CHECK(written() == "show cli level\n");
    out.clear();
    reply("admin\n");
    REQUIRE(session.is_up());
    REQUIRE(out.events.size() == 1);
    CHECK(out.events[0].kind == SessionEvent::Kind::kUp);
    out.clear();
  }
  bool lost() { return !out.events.empty() && out.events.back().kind == SessionEvent::Kind::kDown && !session.is_up(); }

  SessionOptions options;
  Instant now{};
  SessionOutbox out;
  RuntimeSession session;
};

Command weight_of(std::uint16_t weight) {
  Command command;
  command.kind = CommandKind::kSetWeight;
  command.backend = *BackendName::parse("b");
  command.server = *ServerName::parse("s");
  command.weight = weight;
  command.tag = weight;
  return command;
}

}  // namespace

TEST_CASE("A batch is framed by two show info, answered in order, and ends with kBatchDone") {
  Bench b;
  b.become_ready();
  CHECK(b.session.add(weight_of(1)));
  CHECK(b.session.add(weight_of(2)));
  b.session.begin_batch(b.now, b.out);
  CHECK(b.written() == "show info\nset server b/s weight 1\nset server b/s weight 2\nshow info\n");
  CHECK(!b.session.can_begin());
  b.out.clear();
  b.reply(info_of(1));
  CHECK(b.out.events.empty());
  b.out.clear();
  // Two answers in one piece, the second one a refusal.
  b.say("\n> No such server.\n\n> ");
  REQUIRE(b.out.events.size() == 2);
  CHECK(b.out.events[0].tag == 1);
  CHECK(b.out.events[0].outcome == Outcome::kDone);
  CHECK(b.out.events[1].tag == 2);
  CHECK(b.out.events[1].outcome == Outcome::kNoSuchServer);
  CHECK(b.out.events[1].text == "No such server.\n");
  b.out.clear();
  b.reply(info_of(1));
  REQUIRE(b.out.events.size() == 1);
  CHECK(b.out.events[0].kind == SessionEvent::Kind::kBatchDone);
  CHECK(b.session.can_begin());
}

TEST_CASE("However a stream cuts the answers, they are the same answers") {
  const std::string all = info_of(1) + "\n> \n> No such server.\n\n> " + info_of(1) + "\n> ";
  for (std::size_t size = 1; size < all.size(); ++size) {
    Bench b;
    b.become_ready();
    REQUIRE(b.session.add(weight_of(1)));
    REQUIRE(b.session.add(weight_of(2)));
    b.session.begin_batch(b.now, b.out);
    b.out.clear();
    std::vector<std::string> seen;
    for (std::size_t i = 0; i < all.size(); i += size) {
      b.say(std::string_view(all).substr(i, size));
      for (const SessionEvent& event : b.out.events) {
        if (event.kind == SessionEvent::Kind::kReply) seen.emplace_back(event.text);
      }
      b.out.clear();
    }
    CHECK(seen == std::vector<std::string>{"", "No such server.\n"});
    CHECK(b.session.can_begin());
  }
}

TEST_CASE("No more commands than the window are on their way") {
  SessionOptions options;
  options.window = 4;
  Bench b(options);
  b.become_ready();
  for (std::uint16_t i = 1; i <= 10; ++i) REQUIRE(b.session.add(weight_of(i)));
  b.session.begin_batch(b.now, b.out);
  const auto lines = [](const std::string& text) { return std::count(text.begin(), text.end(), '\n'); };
  CHECK(lines(b.written()) == 4);
  b.out.clear();
  b.reply(info_of(1));
  CHECK(lines(b.written()) == 1);
  b.out.clear();
  int sent = 5;
  for (int i = 0; i < 10; ++i) {
    b.reply("");
    sent += static_cast<int>(lines(b.written()));
    b.out.clear();
  }
  CHECK(sent == 12);
  b.reply(info_of(1));
  CHECK(b.out.events.back().kind == SessionEvent::Kind::kBatchDone);
}

TEST_CASE("A process that is stopping, or another one, ends the session at once and the next one says replaced") {
  for (const bool stopping : {true, false}) {
    Bench b;
    b.become_ready(1);
    REQUIRE(b.session.add(weight_of(1)));
    b.session.begin_batch(b.now, b.out);
    b.out.clear();
    b.reply(info_of(1));
    b.out.clear();
    b.reply("");
    b.out.clear();
    b.reply(stopping ? info_of(1, true)
                     : info_of(2));  // The batch's last look: its answers came from the wrong process.
    CHECK(b.lost());
    // The one that is stopping may have requests and goes on by itself; nothing is known of the other.
    CHECK(b.out.wants_close(Stream::kMain) == !stopping);
    CHECK(b.out.hands_over().has_value() == stopping);
    CHECK(b.out.wants_connect(Stream::kMain));
    b.out.clear();
    b.session.on_connected(b.now, Stream::kMain, b.out);
    b.out.clear();
    b.reply("");
    b.out.clear();
    b.reply(info_of(2));
    b.out.clear();
    b.reply("admin\n");
    REQUIRE(b.out.events.size() == 1);
    CHECK(b.out.events[0].replaced);
    CHECK(b.session.replacements() == 1);
  }
}

TEST_CASE("Between batches the process is asked every 50 ms, and a batch may begin before the answer") {
  Bench b;
  b.become_ready();
  b.pass(49ms);
  CHECK(b.written().empty());
  b.pass(1ms);
  CHECK(b.written() == "show info\n");
  b.out.clear();
  REQUIRE(b.session.can_begin());
  REQUIRE(b.session.add(weight_of(3)));
  b.session.begin_batch(b.now, b.out);
  b.out.clear();
  b.say(info_of(1) + "\n> " + info_of(1) + "\n> \n> " + info_of(1) + "\n> ");
  REQUIRE(b.out.events.size() == 2);
  CHECK(b.out.events[0].tag == 3);
  CHECK(b.out.events[1].kind == SessionEvent::Kind::kBatchDone);
}

TEST_CASE("The fresh connection each second finds a process that the old connection does not know of") {
  // A long watch interval, so that only the fresh connection speaks.
  SessionOptions options;
  options.watch_interval = 1h;
  Bench p(options);
  p.become_ready(1);
  p.now = p.session.next_deadline();
  CHECK(p.now >= Instant{} + 750ms);
  CHECK(p.now <= Instant{} + 1250ms);
  p.session.on_deadline(p.now, p.out);
  CHECK(p.out.wants_connect(Stream::kProbe));
  p.out.clear();
  p.session.on_connected(p.now, Stream::kProbe, p.out);
  CHECK(p.written(Stream::kProbe) == "show info\n");
  p.out.clear();
  p.say(info_of(1), Stream::kProbe);
  p.session.on_closed(p.now, Stream::kProbe, p.out);
  CHECK(p.session.is_up());
  CHECK(p.out.empty());
  p.now = p.session.next_deadline();
  p.session.on_deadline(p.now, p.out);
  p.out.clear();
  p.session.on_connected(p.now, Stream::kProbe, p.out);
  p.out.clear();
  p.say(info_of(2), Stream::kProbe);
  p.session.on_closed(p.now, Stream::kProbe, p.out);
  CHECK(p.lost());
  CHECK(p.out.wants_connect(Stream::kMain));
}

TEST_CASE("A command without an answer ends the session after its deadline, and is never sent again") {
  Bench b;
  b.become_ready();
  REQUIRE(b.session.add(weight_of(9)));
  b.session.begin_batch(b.now, b.out);
  b.out.clear();
  b.reply(info_of(1));
  b.out.clear();
  b.pass(1999ms);
  CHECK(b.session.is_up());
  b.out.clear();
  b.pass(1ms);
  CHECK(b.lost());
  CHECK(b.session.down_text() == "HAProxy did not answer in time");
  CHECK(b.out.wants_close(Stream::kMain));
  b.out.clear();
  b.now = b.session.next_deadline();
  b.become_ready();
  CHECK(b.session.can_begin());
  CHECK(b.session.batch_room() == b.options.batch_commands_max);
}

TEST_CASE("A HAProxy that never answers is told of once, with what to look at; another reason is told again") {
  Bench b;
  const auto connect_in_vain = [&b] {
    b.now = b.session.next_deadline();
    b.session.on_deadline(b.now, b.out);
    b.out.clear();
    b.session.on_connected(b.now, Stream::kMain, b.out);
    b.out.clear();
    b.now = b.session.next_deadline();  // Of the answer to `prompt`.
    b.session.on_deadline(b.now, b.out);
    CHECK(!b.session.is_up());
  };
  connect_in_vain();
  CHECK(b.lost());
  CHECK(b.session.down_text().find("stats maxconn") != std::string_view::npos);
  b.out.clear();
  connect_in_vain();
  CHECK(b.out.events.empty());
  b.out.clear();
  b.now = b.session.next_deadline();
  b.session.on_deadline(b.now, b.out);
  b.out.clear();
  b.session.on_connect_failed(b.now, Stream::kMain, "Permission denied", false, b.out);
  CHECK(b.lost());
  CHECK(b.session.down_text() == "Permission denied");
}

TEST_CASE("A session that never lasts is not made anew in a tight loop") {
  Bench b;
  b.become_ready();
  int at_once = 0;
  for (int i = 0; i < 30; ++i) {
    b.out.clear();
    b.session.on_closed(b.now, Stream::kMain, b.out);
    at_once += b.out.wants_connect(Stream::kMain) ? 1 : 0;
    if (!b.out.wants_connect(Stream::kMain)) {
      b.now = b.session.next_deadline();
      b.out.clear();
      b.session.on_deadline(b.now, b.out);
    }
    b.out.clear();
    b.session.on_connected(b.now, Stream::kMain, b.out);
    b.out.clear();
    b.say("\n> ");
    b.out.clear();
    b.reply(info_of(i + 2));
    b.out.clear();
    b.reply("admin\n");
    REQUIRE(b.session.is_up());
  }
  CHECK(at_once == 8);
  b.now += 2s;  // One that lasted.
  b.out.clear();
  b.session.on_closed(b.now, Stream::kMain, b.out);
  CHECK(b.out.wants_connect(Stream::kMain));
}

TEST_CASE("Nobody listens: since the first connect that found so, unless the process only fell silent") {
  Bench b;
  const auto fail = [&b](bool nobody) {
    b.now = std::max(b.now, b.session.next_deadline());
    b.out.clear();
    b.session.on_deadline(b.now, b.out);
    b.out.clear();
    b.session.on_connect_failed(b.now, Stream::kMain, "x", nobody, b.out);
  };
  CHECK(b.session.nobody_since() == kNever);
  fail(true);
  const Instant first = b.now;
  fail(true);
  CHECK(b.session.nobody_since() == first);
  fail(false);
  CHECK(b.session.nobody_since() == kNever);
  CHECK(!b.session.was_up());
}

TEST_CASE("A close in the middle of an answer is an error for what was under way") {
  Bench b;
  b.become_ready();
  REQUIRE(b.session.add(weight_of(9)));
  b.session.begin_batch(b.now, b.out);
  b.out.clear();
  b.reply(info_of(1));
  b.out.clear();
  b.say("\n>");  // All but the last byte.
  CHECK(b.out.events.empty());
  b.out.clear();
  b.session.on_closed(b.now, Stream::kMain, b.out);
  CHECK(b.lost());
  CHECK(b.out.events.size() == 1);
}

TEST_CASE("Reconnecting backs off from 50 ms to 500 ms, with jitter, for ever") {
  Bench b;
  std::vector<Duration> waits;
  b.session.on_deadline(b.now, b.out);
  for (int i = 0; i < 20; ++i) {
    b.out.clear();
    b.session.on_connect_failed(b.now, Stream::kMain, "Permission denied", false, b.out);
    CHECK(b.out.events.empty() == (i > 0));  // Told once: nothing else has changed for the owner.
    b.out.clear();
    waits.push_back(b.session.next_deadline() - b.now);
    b.now = b.session.next_deadline();
    b.session.on_deadline(b.now, b.out);
    CHECK(b.out.wants_connect(Stream::kMain));
  }
  CHECK(b.session.down_text() == "Permission denied");
  CHECK(waits[0] >= 37ms);
  CHECK(waits[0] <= 63ms);
  CHECK(waits[19] >= 375ms);
  CHECK(waits[19] <= 625ms);
  bool differ = false;
  for (std::size_t i = 10; i < 19; ++i) differ = differ || waits[i] != waits[i + 1];
  CHECK(differ);
}

TEST_CASE("A connection that is accepted and never answered is given up") {
  Bench b;
  b.session.on_deadline(b.now, b.out);
  b.out.clear();
  b.session.on_connected(b.now, Stream::kMain, b.out);
  b.out.clear();
  b.pass(2s);
  CHECK(b.out.wants_close(Stream::kMain));
  CHECK(b.session.next_deadline() > b.now);
}

TEST_CASE("Why a HAProxy that lets us in never answers is told once, and once more when the reason is another") {
  Bench b;
  int told = 0;
  const auto fail = [&](bool by_closing) {
    b.session.on_deadline(b.now, b.out);
    REQUIRE(b.out.wants_connect(Stream::kMain));
    b.out.clear();
    b.session.on_connected(b.now, Stream::kMain, b.out);
    b.out.clear();
    if (by_closing) b.session.on_closed(b.now, Stream::kMain, b.out);
    if (!by_closing) b.pass(2s);
    told += b.out.events.empty() ? 0 : 1;
    b.out.clear();
    b.now = b.session.next_deadline();
  };
  for (int i = 0; i < 3; ++i) fail(false);
  CHECK(told == 1);
  for (int i = 0; i < 3; ++i) fail(true);
  CHECK(told == 2);
}

TEST_CASE("An endless answer is cut at its limit, and an answer that nobody asked for ends the session") {
  SessionOptions options;
  options.reply_bytes_max = 10000;
  Bench b(options);
  b.become_ready();
  REQUIRE(b.session.add(weight_of(1)));
  b.session.begin_batch(b.now, b.out);
  b.out.clear();
  for (int i = 0; i < 11 && b.session.is_up(); ++i) {
    b.out.clear();
    b.say(std::string(1000, 'x'));
  }
  CHECK(b.lost());
  CHECK(b.session.down_text() == "HAProxy's answer is too long");

  Bench c;
  c.become_ready();
  c.reply("hello");
  CHECK(c.lost());
}

TEST_CASE("A command that cannot be written, or is one too many, is not taken") {
  SessionOptions options;
  options.batch_commands_max = 2;
  Bench b(options);
  b.become_ready();
  CHECK(!b.session.add(Command{CommandKind::kDelServer}));
  CHECK(b.session.add(weight_of(1)));
  CHECK(b.session.add(weight_of(2)));
  CHECK(!b.session.add(weight_of(3)));
}

TEST_CASE("A stopping process is handed over with what it still owes, and the next one is connected at once") {
  Bench b;
  b.become_ready(1);
  for (std::uint16_t i = 1; i <= 3; ++i) REQUIRE(b.session.add(weight_of(i)));
  b.session.begin_batch(b.now, b.out);
  b.out.clear();
  // The batch's first look, and part of an answer, in one piece: four answers of five have not come.
  b.say(info_of(1, true) + "\n> Proxy is dis");
  REQUIRE(b.out.events.size() == 2);
  CHECK(b.out.events[0].kind == SessionEvent::Kind::kRetired);
  CHECK(b.out.events[1].kind == SessionEvent::Kind::kDown);
  REQUIRE(b.out.hands_over() == Stream::kOld1);
  CHECK(!b.out.wants_close(Stream::kMain));
  CHECK(b.out.wants_connect(Stream::kMain));
  CHECK(b.session.has_old(0));
  b.out.clear();
  REQUIRE(b.session.watch_old(b.now, 0, *BackendName::parse("b"), *ServerName::parse("s"), 5, 77));
  b.say("abled.\n\n> Proxy is disabled.\n\n> Proxy is disabled.\n\n> ", Stream::kOld1);
  CHECK(b.written(Stream::kOld1).empty());
  b.say(info_of(1, true) + "\n> ", Stream::kOld1);
  b.out.clear();
  b.pass(0ms);
  CHECK(b.written(Stream::kOld1) == "show stat b 4 5\nshow info\n");
  b.out.clear();
  b.say("# pxname,svname,qcur,scur,used_conn_cur,idle_conn_cur,\nb,s,0,3,3,0,\n\n> ", Stream::kOld1);
  REQUIRE(b.out.events.size() == 1);
  CHECK(b.out.events[0].kind == SessionEvent::Kind::kOldCount);
  CHECK(b.out.events[0].slot == 0);
  CHECK(b.out.events[0].tag == 77);
  CHECK(b.out.events[0].in_flight == 3);
  b.out.clear();
  b.session.on_closed(b.now, Stream::kOld1, b.out);
  REQUIRE(b.out.events.size() == 1);
  CHECK(b.out.events[0].kind == SessionEvent::Kind::kOldGone);
  CHECK(b.out.events[0].finished);
  CHECK(!b.session.has_old());
}

TEST_CASE("What a fresh connection does not reach any more is handed over, though it says nothing of stopping") {
  SessionOptions options;
  options.watch_interval = 1h;
  Bench b(options);
  b.become_ready(1);
  b.now = b.session.next_deadline();
  b.session.on_deadline(b.now, b.out);
  b.out.clear();
  b.session.on_connected(b.now, Stream::kProbe, b.out);
  b.out.clear();
  b.say(info_of(2), Stream::kProbe);
  b.session.on_closed(b.now, Stream::kProbe, b.out);
  CHECK(b.lost());
  CHECK(b.out.hands_over() == Stream::kOld1);
}

TEST_CASE("The level of the socket is asked for, and one that HAProxy does not tell is no trouble") {
  const auto level = [](std::string_view answer) {
    Bench b;
    b.session.on_deadline(b.now, b.out);
    b.out.clear();
    b.session.on_connected(b.now, Stream::kMain, b.out);
    b.out.clear();
    b.say("\n> ");
    b.out.clear();
    b.reply(info_of(1));
    CHECK(!b.session.is_up());
    b.out.clear();
    b.reply(answer);
    CHECK(b.session.is_up());
    return b.session.level();
  };
  CHECK(level("admin\n") == Level::kAdmin);
  CHECK(level("operator\n") == Level::kOperator);
  CHECK(level("user\n") == Level::kUser);
  CHECK(level("Unknown command, but maybe one of the following ones is a better match:\n") == Level::kUnknown);
}

TEST_CASE("2.4 and 2.5 are put into experimental mode on each connection, the others are not") {
  for (const char* version : {"2.4.22", "2.5.14", "2.6.12", "3.4.0"}) {
    Bench b;
    b.session.on_deadline(b.now, b.out);
    for (int connection = 0; connection < 2; ++connection) {
      b.out.clear();
      b.session.on_connected(b.now, Stream::kMain, b.out);
      b.out.clear();
      b.say("\n> ");
      b.out.clear();
      b.reply(info_of(1, false, version));
      b.out.clear();
      b.reply("admin\n");
      const bool is_old = traits_of(version).experimental;
      CHECK(b.written() == (is_old ? "experimental-mode on\n" : ""));
      CHECK(b.session.is_up() == !is_old);
      b.out.clear();
      if (is_old) b.reply("");
      REQUIRE(b.session.is_up());
      b.out.clear();
      b.session.on_closed(b.now, Stream::kMain, b.out);
    }
  }
}

namespace {

/// A session on the master's socket that is up.
struct MasterBench : Bench {
  MasterBench() : Bench(of_master()) {
    session.on_deadline(now, out);
    out.clear();
    greet(1);
    out.clear();
  }
  static SessionOptions of_master() {
    SessionOptions options;
    options.is_master = true;
    return options;
  }
  void greet(int pid) {
    session.on_connected(now, Stream::kMain, out);
    CHECK(written() == "prompt\n");
    out.clear();
    say("master> ");
    CHECK(written() == "@1 show info\n");
    out.clear();
    master_reply(info_of(pid));
    CHECK(written() == "@1 show cli level\n");
    out.clear();
    master_reply("admin\n");
    REQUIRE(session.is_up());
  }
  void master_reply(std::string_view text) { say(std::string(text) + "\nmaster> "); }
};

}  // namespace

TEST_CASE("On the master's socket every command goes to the current worker, after a failed reload too") {
  MasterBench b;
  REQUIRE(b.session.add(weight_of(1)));
  b.session.begin_batch(b.now, b.out);
  CHECK(b.written() == "@1 show info\n@1 set server b/s weight 1\n@1 show info\n");
  b.out.clear();
  b.say(info_of(1) + "\nmaster[ReloadFailed]> No such server.\n\nmaster[Reload");
  REQUIRE(b.out.events.empty());
  b.say("Failed]> ");
  REQUIRE(b.out.events.size() == 1);
  CHECK(b.out.events[0].outcome == Outcome::kNoSuchServer);
  b.out.clear();
  b.master_reply(info_of(1));
  REQUIRE(b.out.events.size() == 1);
  CHECK(b.out.events[0].kind == SessionEvent::Kind::kBatchDone);
  // No fresh connections each second: `@1` is enough.
  for (int i = 0; i < 100; ++i) {
    b.out.clear();
    b.pass(50ms);
    CHECK(!b.out.wants_connect(Stream::kProbe));
    if (b.written() == "@1 show info\n") b.out.clear(), b.master_reply(info_of(1));
  }
}

TEST_CASE("A table that the master ended in the middle, because the worker died, is an error and no table") {
  MasterBench b;
  REQUIRE(b.session.add(Command{CommandKind::kShowBackend}));
  b.session.begin_batch(b.now, b.out);
  b.out.clear();
  b.master_reply(info_of(1));
  b.out.clear();
  b.say("# name\nweb\nmaster> ");  // A whole one ends with an empty line.
  CHECK(b.lost());
  CHECK(b.session.down_text() == "HAProxy's answer was cut short");
  CHECK(b.out.events.size() == 1);  // The answer is not told.
}

TEST_CASE("After a reload the master's socket reaches the old worker by its process id, over a connection of its own") {
  MasterBench b;
  b.session.on_closed(b.now, Stream::kMain, b.out);
  b.out.clear();
  b.greet(2);
  REQUIRE(b.out.events.size() == 2);
  CHECK(b.out.events[0].kind == SessionEvent::Kind::kRetired);
  CHECK(b.out.events[1].replaced);
  CHECK(b.out.wants_connect(Stream::kOld1));
  b.out.clear();
  b.session.on_connected(b.now, Stream::kOld1, b.out);
  CHECK(b.written(Stream::kOld1) == "prompt\n");
  b.out.clear();
  b.say("master> ", Stream::kOld1);
  CHECK(b.written(Stream::kOld1) == "@!1 show info\n");
  b.out.clear();
  b.session.on_closed(b.now, Stream::kOld1, b.out);
  CHECK(!b.session.has_old());
}

TEST_CASE("The master's socket without master@, and the other way round, is told for what it is") {
  Bench plain;
  plain.session.on_deadline(plain.now, plain.out);
  plain.out.clear();
  plain.session.on_connected(plain.now, Stream::kMain, plain.out);
  plain.out.clear();
  plain.say("master> ");
  CHECK(plain.session.down_text().find("write master@") != std::string_view::npos);

  Bench master(MasterBench::of_master());
  master.session.on_deadline(master.now, master.out);
  master.out.clear();
  master.session.on_connected(master.now, Stream::kMain, master.out);
  master.out.clear();
  master.say("\n> ");
  CHECK(master.session.down_text().find("leave out master@") != std::string_view::npos);
}
