#include "task/line_log.h"

#include <algorithm>
#include <cstring>

#include "base/utf8.h"

namespace shoal::task {
namespace {

/// How many bytes at the end of `text` begin a character that is not finished there.
std::size_t unfinished_character(std::string_view text) {
  constexpr std::size_t kMost = 3;
  for (std::size_t back = 1; back <= std::min(kMost, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    const std::size_t wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return wanted > back ? back : 0;
  }
  return 0;
}

}  // namespace

void LineSplitter::drop_told() {
  if (told_ == 0) return;
  std::memmove(memory_.bytes().data(), memory_.bytes().data() + told_, size_ - told_);
  size_ -= told_;
  told_ = 0;
}

std::optional<LineSplitter::Piece> LineSplitter::finish(std::string_view text) {
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  return Piece{text, false};
}

// Of a line that is longer than the memory. A character that is cut short waits for its end.
std::optional<LineSplitter::Piece> LineSplitter::cut() {
  const std::size_t unfinished = unfinished_character(kept());
  told_ = unfinished < size_ ? size_ - unfinished : size_;
  return Piece{kept().substr(0, told_), true};
}

std::optional<LineSplitter::Piece> LineSplitter::next(Bytes& input) {
  drop_told();
  if (input.empty()) return std::nullopt;
  const std::size_t room = memory_.size() - size_;
  const std::string_view text = as_text(input);
  const std::size_t newline = text.substr(0, room + 1).find('\n');
  if (newline != std::string_view::npos) {
    input = input.subspan(newline + 1);
    if (size_ == 0) return finish(text.substr(0, newline));
    std::memcpy(memory_.bytes().data() + size_, text.data(), newline);
    size_ += newline;
    told_ = size_;
    return finish(kept());
  }
  const std::size_t taken = std::min(room, text.size());
  std::memcpy(memory_.bytes().data() + size_, text.data(), taken);
  size_ += taken;
  input = input.subspan(taken);
  if (input.empty()) return std::nullopt;  // A full memory waits as well: the next byte may be the newline.
  return cut();
}

std::optional<LineSplitter::Piece> LineSplitter::rest(bool ended) {
  drop_told();
  if (size_ == 0) return std::nullopt;
  told_ = size_;
  return ended ? finish(kept()) : Piece{kept(), true};
}

bool LogPace::on_full(Instant now) {
  if (now - window_began_ >= options_.window) begin_window(now);
  if (waiting_since_ == kNever) waiting_since_ = now;
  return waited_ + (now - waiting_since_) < options_.wait_most;
}

void LogPace::begin_window(Instant now) {
  window_began_ = now;
  waited_ = {};
  if (waiting_since_ != kNever) waiting_since_ = now;
}

void LogPace::on_room(Instant now) {
  if (waiting_since_ == kNever) return;
  waited_ += now - waiting_since_;
  waiting_since_ = kNever;
}

void LogPace::on_dropped(std::size_t bytes) {
  ++total_.lines;
  total_.bytes += bytes;
}

std::optional<LogPace::Dropped> LogPace::report(Instant now) {
  if (total_.lines == told_.lines || now - reported_ < options_.report_every) return std::nullopt;
  reported_ = now;
  const Dropped since{total_.lines - told_.lines, total_.bytes - told_.bytes};
  told_ = total_;
  return since;
}

}  // namespace shoal::task
