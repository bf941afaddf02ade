#include "base/http_status.h"

#include <algorithm>

namespace shoal {
namespace {

constexpr std::string_view kVersion = "HTTP/1.";
constexpr int kSwitchingProtocols = 101;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::optional<HttpStatusLine> parse_http_status_line(std::string_view line) {
  // "HTTP/1.x NNN", then nothing or a space and the reason.
  constexpr std::size_t kShortest = kVersion.size() + 5;
  if (line.size() < kShortest || line.substr(0, kVersion.size()) != kVersion) return std::nullopt;
  const char minor = line[kVersion.size()];
  const std::string_view digits = line.substr(kVersion.size() + 2, 3);
  const bool good = (minor == '0' || minor == '1') && line[kVersion.size() + 1] == ' ' &&
                    std::all_of(digits.begin(), digits.end(), is_digit) &&
                    (line.size() == kShortest || line[kShortest] == ' ');
  if (!good) return std::nullopt;
  const int status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
  if (status < 100 || status > 599) return std::nullopt;
  return HttpStatusLine{minor - '0', status};
}

void HttpStatusReader::reset() {
  state_ = State::kReading;
  in_interim_ = false;
  status_ = 0;
  read_ = 0;
  line_.clear();
}

HttpStatusReader::State HttpStatusReader::on_bytes(Bytes bytes) {
  std::string_view text = as_text(bytes);
  while (state_ == State::kReading && !text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view piece = text.substr(0, end);
    read_ += piece.size() + 1;
    if (read_ > kBytesMax || !line_.append(piece)) {
      state_ = State::kFailed;
    } else if (end == std::string_view::npos) {
      --read_;  // No line's end in it.
      return state_;
    } else {
      text.remove_prefix(end + 1);
      std::string_view line = line_.view();
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      state_ = on_line(line);
      line_.clear();
    }
  }
  return state_;
}

HttpStatusReader::State HttpStatusReader::on_line(std::string_view line) {
  if (in_interim_) {
    in_interim_ = !line.empty();
    return State::kReading;
  }
  const auto read = parse_http_status_line(line);
  if (!read) return State::kFailed;
  if (read->status < 200 && read->status != kSwitchingProtocols) {
    in_interim_ = true;
    return State::kReading;
  }
  status_ = read->status;
  return State::kComplete;
}

}  // namespace shoal
