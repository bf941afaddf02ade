// The worker's words: whatever they are and in whatever portions they come, cutting them into lines loses and adds
// nothing, and each becomes whole lines of our log.
#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/log.h"
#include "input.h"
#include "target.h"
#include "task/line_log.h"

namespace {

using namespace shoal;

// A carriage return before a newline goes, unless a piece has ended between the two.
std::string without_returns(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), '\r'), text.end());
  return text;
}

void check_line(void*, std::string_view line) {
  SHOAL_ASSERT(line.size() <= Log::kLineBytesMax && line.find('\n') == line.size() - 1);
  for (const char c : line.substr(0, line.size() - 1)) SHOAL_ASSERT(static_cast<unsigned char>(c) >= 0x20);
}

struct Lines {
  std::string together;
  Log log;

  void take(const task::LineSplitter::Piece& piece, std::size_t most) {
    SHOAL_ASSERT(piece.text.size() <= most);
    together += piece.text;
    if (!piece.partial) together += '\n';
    std::string_view rest = piece.text;
    do {
      const std::size_t taken = log.write_text("worker", {{"stream", "stdout"}, {"pid", 7}}, rest, piece.partial);
      SHOAL_ASSERT(taken > 0 || rest.empty());
      rest.remove_prefix(taken);
    } while (!rest.empty());
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  const std::size_t most = 4 + in.u8() % 60;
  Lines lines{{}, Log(LogLevel::kError, in.flag() ? LogFormat::kJson : LogFormat::kText, &check_line, nullptr, [] {
                return std::int64_t{0};
              })};
  task::LineSplitter splitter(most);
  std::string given;
  while (!in.empty()) {
    const std::uint8_t kind = in.u8();
    const std::string portion = fuzz::copy_of(in.take(kind % 80));
    given += portion;
    Bytes input = as_bytes(portion);
    while (const auto piece = splitter.next(input)) lines.take(*piece, most);
    SHOAL_ASSERT(input.empty());
    if (kind >= 250) {
      if (const auto piece = splitter.rest(false)) lines.take(*piece, most);
    }
  }
  if (const auto piece = splitter.rest(true)) {
    lines.take(*piece, most);
    lines.together.pop_back();  // The end of the words ends their last line; no newline has been there.
  }
  SHOAL_ASSERT(without_returns(lines.together) == without_returns(given));
  return 0;
}
