#include "admin/http_client.h"

#include <algorithm>
#include <charconv>

#include "base/http_status.h"

namespace shoal::admin {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";

bool begins_with_name(std::string_view line, std::string_view lower_case) {
  return line.size() >= lower_case.size() &&
         std::equal(lower_case.begin(), lower_case.end(), line.begin(),
                    [](char want, char is) { return (is >= 'A' && is <= 'Z' ? is - 'A' + 'a' : is) == want; });
}

template <typename Int>
bool parse_whole(std::string_view text, Int& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::string http_request(const Route& route, std::string_view json) {
  std::string out = std::string(to_text(route.method)) + " " + std::string(route.path) +
                    " HTTP/1.1\r\nHost: shoal\r\nConnection: close\r\n";
  if (route.method == Method::kPost) {
    out += "Content-Type: application/json\r\nContent-Length: " + std::to_string(json.size()) + "\r\n";
  }
  out += "\r\n";
  out += json;
  return out;
}

HttpResponseParser::State HttpResponseParser::on_bytes(Bytes bytes) {
  std::string_view text = as_text(bytes);
  if (state_ == State::kReading && !in_body_) {
    const std::size_t before = head_.size();
    head_ += text.substr(0, kHeadMax - head_.size());
    // The end may have begun in an earlier piece.
    const std::size_t end = head_.find(kHeadEnd, before < 3 ? 0 : before - 3);
    if (end == std::string::npos) {
      if (head_.size() == kHeadMax) state_ = State::kFailed;
      return state_;
    }
    text.remove_prefix(end + kHeadEnd.size() - before);
    take_head(std::string_view(head_).substr(0, end + 2));
    in_body_ = true;
  }
  if (state_ != State::kReading) return state_;
  body_ += text.substr(0, body_wanted_ - body_.size());
  if (body_.size() == body_wanted_) state_ = State::kComplete;
  return state_;
}

/// `head` ends with the last line's CR LF.
void HttpResponseParser::take_head(std::string_view head) {
  constexpr std::string_view kLength = "content-length:";
  bool has_length = false;
  const auto first = parse_http_status_line(head.substr(0, head.find("\r\n")));
  if (first && first->minor_version == 1) {
    status_ = first->status;
  } else {
    state_ = State::kFailed;
  }
  while (!head.empty() && state_ == State::kReading) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(line.size() + 2);
    if (!begins_with_name(line, kLength)) continue;
    std::string_view value = line.substr(kLength.size());
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    if (has_length || !parse_whole(value, body_wanted_) || body_wanted_ > kBodyMax) state_ = State::kFailed;
    has_length = true;
  }
  if (!has_length) state_ = State::kFailed;
}

}  // namespace shoal::admin
