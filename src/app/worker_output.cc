#include "app/worker_output.h"

#include <algorithm>

namespace shoal::app {
namespace {

constexpr std::size_t kReadBytes = 16 * 1024;
// Of a line that is not finished. A piece goes into one line of ours unless much of it must be escaped.
constexpr std::size_t kPieceBytesMax = 3 * 1024;
// What waits for the reader of our log: the worker's lines, and some room that only our own may take.
constexpr std::size_t kWaitingBytesMax = 256 * 1024;
constexpr std::size_t kOwnReserve = 16 * 1024;
constexpr std::size_t kPieceWrittenMax =
    6 * kPieceBytesMax + 8 * 1024;  // Each byte escaped, in lines with their heads.
constexpr Duration kRetry = 10ms;
constexpr Duration kUnfinishedAfter = 1s;  // A prompt, or a line whose writer hangs, is told as far as it goes.
// On the way out, in all: so often for the reader of our log, and so much of what each pipe holds (64 KiB, unless
// somebody goes on writing).
constexpr Duration kFinishWait = 50ms;
constexpr int kFinishWaits = 8;
constexpr int kFinishReads = 64;

}  // namespace

WorkerOutput::Stream::Stream(WorkerOutput& all, const Worker& whose, const char* stream_name)
    : worker(whose),
      name(stream_name),
      reader(all.loop_, [&all, this] { all.on_readable(*this); }),
      splitter(kPieceBytesMax),
      memory(kReadBytes) {}

WorkerOutput::WorkerOutput(reactor::Loop& loop, config::WorkerLog how, ProcessLog& log, std::size_t workers_max)
    : loop_(loop), log_(log), pace_(task::LogPace::Options{}), timer_(loop, [this] { on_timer(); }) {
  if (how == config::WorkerLog::kInherit) return;
  log_.sink().keep(kWaitingBytesMax);
  for (std::size_t i = 0; i < workers_max; ++i) workers_.push_back(std::make_unique<Worker>(*this));
}

template <typename F>
void WorkerOutput::for_each_stream(F&& f) {
  for (const auto& worker : workers_) {
    f(worker->out);
    f(worker->err);
  }
}

WorkerOutput::Worker& WorkerOutput::take_place() {
  const auto rank = [](const std::unique_ptr<Worker>& w) {
    return w->out.reader.is_open() || w->err.reader.is_open() ? w->order : 0;
  };
  Worker& place = **std::min_element(workers_.begin(), workers_.end(),
                                     [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  for (Stream* const stream : {&place.out, &place.err}) {
    if (!stream->reader.is_open()) continue;
    stream->reader.close();
    stream->unread = {};
    tell_rest(*stream, true);
  }
  place.pid = 0;
  place.order = ++opened_;
  return place;
}

WorkerOutput::Ends WorkerOutput::open() {
  Ends ends;
  if (workers_.empty()) return ends;
  latest_ = &take_place();
  auto out = latest_->out.reader.open();
  auto err = latest_->err.reader.open();
  if (!out.ok() || !err.ok()) {
    log_.log().error("the worker's log is not wrapped", {{"reason", (out.ok() ? err : out).error().message}});
    return ends;
  }
  ends.out = std::move(*out);
  ends.err = std::move(*err);
  return ends;
}

void WorkerOutput::started(pid_t pid) {
  if (latest_ != nullptr) latest_->pid = pid;
}

bool WorkerOutput::has_room() const {
  return log_.sink().waiting() + kPieceWrittenMax + kOwnReserve <= kWaitingBytesMax;
}

void WorkerOutput::on_readable(Stream& stream) {
  if (stream.unread.empty()) {
    stream.unread = Bytes(stream.memory.bytes()).first(stream.reader.read(stream.memory.bytes()));
    stream.last_read = loop_.now();
  }
  if (tell_unread(stream) && !stream.reader.is_open()) tell_rest(stream, true);
  arm();
}

bool WorkerOutput::tell_unread(Stream& stream) {
  while (!stream.unread.empty()) {
    const bool room = has_room();
    if (!room && !finishing_ && pace_.on_full(loop_.now())) {
      paused_ = true;
      for_each_stream([](Stream& s) { s.reader.pause(true); });
      return false;
    }
    if (room) pace_.on_room(loop_.now());
    const auto piece = stream.splitter.next(stream.unread);
    if (piece) tell(stream, *piece);
  }
  return true;
}

void WorkerOutput::tell(const Stream& stream, const task::LineSplitter::Piece& piece) {
  if (!has_room()) return pace_.on_dropped(piece.text.size());
  std::string_view text = piece.text;
  do {
    text.remove_prefix(
        log_.log().write_text("worker", {{"stream", stream.name}, {"pid", stream.worker.pid}}, text, piece.partial));
  } while (!text.empty());
}

void WorkerOutput::tell_rest(Stream& stream, bool ended) {
  if (const auto piece = stream.splitter.rest(ended)) tell(stream, *piece);
}

void WorkerOutput::on_timer() {
  log_.sink().flush();
  const Instant now = loop_.now();
  if (paused_ && (has_room() || !pace_.on_full(now))) {
    paused_ = false;
    for_each_stream([this](Stream& s) {
      s.reader.pause(false);
      if (!paused_ && !s.unread.empty()) on_readable(s);
    });
    if (paused_) for_each_stream([](Stream& s) { s.reader.pause(true); });
  }
  for_each_stream([&](Stream& s) {
    if (s.unread.empty() && s.splitter.has_rest() && now - s.last_read >= kUnfinishedAfter) tell_rest(s, false);
  });
  arm();
}

void WorkerOutput::arm() {
  report();
  const Instant now = loop_.now();
  if (paused_ || log_.sink().waiting() > 0) return timer_.at(now + kRetry);
  Instant next = pace_.has_untold() ? now + kUnfinishedAfter : kNever;
  for_each_stream([&](Stream& s) {
    if (s.splitter.has_rest()) next = earlier(next, s.last_read + kUnfinishedAfter);
  });
  timer_.at(next);
}

void WorkerOutput::report() {
  if (!has_room()) return;
  const auto dropped = pace_.report(loop_.now());
  if (!dropped) return;
  log_.log().warn("lines of the worker are dropped: whoever reads shoal's log does not keep up",
                  {{"lines", dropped->lines}, {"bytes", dropped->bytes}});
}

void WorkerOutput::finish() {
  if (workers_.empty()) return;
  finishing_ = true;
  timer_.stop();
  int waits_left = kFinishWaits;
  for_each_stream([&](Stream& s) {
    for (int reads_left = kFinishReads; reads_left > 0; --reads_left) {
      while (!has_room() && waits_left-- > 0) static_cast<void>(log_.sink().flush_within(kFinishWait));
      static_cast<void>(tell_unread(s));
      s.unread = Bytes(s.memory.bytes()).first(s.reader.read(s.memory.bytes()));
      if (s.unread.empty()) break;
    }
    s.reader.close();
    tell_rest(s, true);
  });
  if (pace_.dropped().lines > 0) {
    log_.log().warn("lines of the worker were dropped: whoever reads shoal's log did not keep up",
                    {{"lines", pace_.dropped().lines}, {"bytes", pace_.dropped().bytes}});
  }
}

}  // namespace shoal::app
