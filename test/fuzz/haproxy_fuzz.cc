// HAProxy's answers: whatever comes is judged, read row by row to its end, and what is read lies inside the answer.
// Then the session, which gets the same bytes in pieces: it never waits for ever and never says more than its outbox
// holds. Old processes likewise, which the session hands its connection over to.
#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "haproxy/runtime_codec.h"
#include "haproxy/runtime_session.h"
#include "input.h"
#include "target.h"

namespace {

using namespace shoal;
using namespace shoal::haproxy;

bool inside(std::string_view part, std::string_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void answers(std::string_view reply) {
  constexpr CommandKind kKinds[] = {
      CommandKind::kShowInfo,   CommandKind::kShowBackend,  CommandKind::kShowServersState, CommandKind::kShowStat,
      CommandKind::kAddServer,  CommandKind::kEnableHealth, CommandKind::kEnableServer,     CommandKind::kSetState,
      CommandKind::kSetAddress, CommandKind::kSetWeight,    CommandKind::kDelServer};
  for (const CommandKind kind : kKinds) SHOAL_ASSERT(!to_text(judge(kind, reply)).empty());
  (void)parse_info(reply);

  ServerStateReader rows(reply);
  ServerRow row;
  std::size_t count = 0;
  while (rows.next(row)) {
    SHOAL_ASSERT(rows.is_table() && ++count <= reply.size());
    SHOAL_ASSERT(inside(row.backend, reply) && inside(row.server, reply));
    (void)parse_counters(reply, row.backend, row.server);
  }
  (void)parse_level(reply);
  (void)parse_greeting(reply);
  (void)traits_of(reply);
  for (const bool is_master : {false, true}) {
    const Framing framing{is_master};
    std::size_t at = 0;
    while (const auto end = framing.find(reply, at)) {
      SHOAL_ASSERT(end->size >= at && end->next > end->size && end->next <= reply.size());
      at = end->next;
    }
    const std::size_t resume = framing.resume_at(reply, at);
    SHOAL_ASSERT(resume >= at && resume <= std::max(at, reply.size()));
  }
  BackendReader backends(reply);
  for (std::string_view name; backends.next(name);) SHOAL_ASSERT(backends.is_table() && inside(name, reply));
  (void)parse_counters(reply, "shoal", "v8");
}

/// What the shell knows of one stream; it reports nothing that this does not allow.
enum class Link { kNone, kConnecting, kOpen };

void follow(Link (&links)[kStreams], const SessionOutbox& out) {
  for (std::size_t i = 0; i < kStreams; ++i) {
    if (out.wants_close(static_cast<Stream>(i))) links[i] = Link::kNone;
  }
  if (const auto old = out.hands_over()) {
    Link& link = links[static_cast<std::size_t>(*old)];
    SHOAL_ASSERT(link == Link::kNone && links[0] == Link::kOpen);
    link = std::exchange(links[0], Link::kNone);
  }
  for (std::size_t i = 0; i < kStreams; ++i) {
    if (!out.wants_connect(static_cast<Stream>(i))) continue;
    SHOAL_ASSERT(links[i] == Link::kNone);
    links[i] = Link::kConnecting;
  }
}

void watch(RuntimeSession& session, Instant now, std::uint8_t what) {
  const std::size_t slot = what % kOldMax;
  if (!session.has_old(slot)) return;
  (void)session.watch_old(now, slot, *BackendName::parse("shoal"), *ServerName::parse("v8"), 8, what);
}

void begin_batch(RuntimeSession& session, fuzz::Input& in, Instant now, SessionOutbox& out) {
  const std::uint8_t commands = in.u8() % 12;
  for (std::uint8_t i = 0; i < commands; ++i) {
    const bool room = session.batch_room() > 0;
    Command command;
    command.kind = in.flag() ? CommandKind::kShowServersState : CommandKind::kDelServer;
    command.backend = *BackendName::parse("shoal");
    command.server = *ServerName::parse("v8");
    SHOAL_ASSERT(session.add(command) == room);
  }
  session.begin_batch(now, out);
}

/// A session whose shell, clock and HAProxy are the input.
void session(fuzz::Input& in) {
  SessionOptions options;
  options.is_master = in.flag();
  const std::string_view prompt = options.is_master ? "\nmaster> " : "\n> ";
  options.reply_bytes_max = 16 * 1024;
  options.batch_commands_max = 8;
  Instant now{};
  static SessionOutbox out(options);
  out.clear();
  RuntimeSession session(options, Rng(1), now);
  Link links[kStreams] = {};
  std::string bytes;  // Borrowed by nobody: events point into the session.
  for (int step = 0; step < 80 && !in.empty(); ++step) {
    const std::uint8_t what = in.u8();
    // The main one half of the time.
    const auto stream = static_cast<Stream>((what & 0x80) != 0 ? (what >> 4) % kStreams : 0);
    Link& link = links[static_cast<std::size_t>(stream)];
    switch (what % 8) {
      case 0:
        if (link == Link::kConnecting) {
          link = Link::kOpen;
          session.on_connected(now, stream, out);
        }
        break;
      case 1:
        if (link == Link::kOpen) {
          link = Link::kNone;
          session.on_closed(now, stream, out);
        }
        break;
      case 2:
        if (link == Link::kConnecting) {
          link = Link::kNone;
          session.on_connect_failed(now, stream, "refused", true, out);
        }
        break;
      case 3:
        bytes = "Version: 2.6\nPid: 7\nCurrConns: 1\nStart_time_sec: 9\nStopping: ";
        bytes += (what & 0x08) != 0 && session.is_up() ? "1\n" : "0\n";
        bytes += prompt;
        // Before that, what the first steps of a connection wait for.
        if (!session.is_up() && stream == Stream::kMain) {
          if ((what & 0x08) != 0) bytes = options.is_master ? "master> " : "\n> ";
          if ((what & 0x10) != 0) bytes = "admin\n" + std::string(prompt);
        }
        if (link == Link::kOpen) session.on_bytes(now, stream, as_bytes(bytes), out);
        break;
      case 4:
        if (session.can_begin()) begin_batch(session, in, now, out);
        watch(session, now, what);
        break;
      case 5:
        now = std::max(now, earlier(session.next_deadline(), now + 10s));
        session.on_deadline(now, out);
        SHOAL_ASSERT(session.next_deadline() > now);
        break;
      default:
        bytes = fuzz::copy_of(in.bytes());
        if (link == Link::kOpen) session.on_bytes(now, stream, as_bytes(bytes), out);
    }
    for (const SessionEvent& event : out.events) SHOAL_ASSERT(event.text.size() <= options.reply_bytes_max);
    SHOAL_ASSERT(session.next_deadline() != kNever);
    SHOAL_ASSERT(!session.can_begin() || session.is_up());
    follow(links, out);
    out.clear();
  }
}

/// An old process alone, so that its later answers are reached as well.
void retired(fuzz::Input& in) {
  Instant now{};
  Info info;
  info.pid = 7;
  info.start_time_sec = 9;
  RetiredProcess process{RetiredOptions{}};
  const bool is_master = in.flag();
  const std::string prompt = is_master ? "\nmaster> " : "\n> ";
  if (is_master) process.reach(now, info);
  if (!is_master) process.take_over(now, info, in.u8() % 4);
  static Buffer memory(kLineBytesMax);
  std::string bytes;
  for (int step = 0; step < 80 && !in.empty() && process.is_active(); ++step) {
    ByteWriter out(memory.bytes());
    RetiredEffects effects;
    const std::uint8_t what = in.u8();
    switch (what % 8) {
      case 0: (void)process.watch(now, *BackendName::parse("shoal"), *ServerName::parse("v8"), 8, what); break;
      case 1: process.on_connected(now, out); break;
      case 2:
        now = std::max(now, process.next_deadline());
        process.on_deadline(now, out, effects);
        SHOAL_ASSERT(process.next_deadline() > now);
        break;
      case 3:
        bytes = "Version: 2.6\nPid: 7\nCurrConns: " + std::to_string(what / 64) + "\nStart_time_sec: 9\nStopping: 1\n";
        break;
      case 4:
        bytes = "# pxname,svname,qcur,scur,used_conn_cur,idle_conn_cur,\nshoal,v8,0," + std::to_string(what / 64) +
                ",0,0,\n";
        break;
      case 5: bytes = is_master ? "master" : ""; break;
      case 6: bytes = fuzz::copy_of(in.bytes()); break;
      default:
        if (what == 0xff) process.on_closed(effects);
    }
    if (what % 8 >= 3 && what % 8 <= 6) {
      if (what % 8 < 5) bytes += prompt;
      if (what % 8 == 5) bytes += "> ";
      process.on_bytes(now, as_bytes(bytes), out, effects);
    }
    SHOAL_ASSERT(out.ok() && (out.size() == 0 || process.is_active()));
    SHOAL_ASSERT(effects.ended == !process.is_active() && effects.ended == !effects.why.empty());
    SHOAL_ASSERT(process.is_active() == (process.next_deadline() != kNever));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string reply = fuzz::copy_of({data, size});
  answers(reply);
  fuzz::Input in(data, size);
  if (size % 2 == 0) session(in);
  if (size % 2 == 1) retired(in);
  return 0;
}
