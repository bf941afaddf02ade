#include "admin/http_request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "admin/api.h"

namespace shoal::admin {
namespace {

constexpr std::array<std::string_view, 7> kOtherMethods = {"HEAD",  "PUT",   "DELETE", "OPTIONS",
                                                           "PATCH", "TRACE", "CONNECT"};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view a, std::string_view lower_case) {
  return a.size() == lower_case.size() &&
         std::equal(a.begin(), a.end(), lower_case.begin(), [](char x, char y) { return lower(x) == y; });
}

/// RFC 9110 section 5.6.2.
bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 417: return "Expectation Failed";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Error";
  }
}

}  // namespace

HttpRequestParser::HttpRequestParser() : memory_(std::max(kHeadMax, kBodyMax)) {}

void HttpRequestParser::reset() {
  line_size_ = head_size_ = body_size_ = body_wanted_ = 0;
  headers_ = hosts_ = 0;
  has_length_ = http_1_0_ = false;
  method_ = Known::kGet;
  part_ = Part::kRequestLine;
  state_ = State::kReading;
  route_ = nullptr;
  error_ = {};
}

std::string_view HttpRequestParser::body() const {
  SHOAL_ASSERT(state_ == State::kComplete);
  // Buffer gives its bytes to a writer only; nothing is written here.
  return as_text(const_cast<Buffer&>(memory_).bytes().first(body_wanted_));
}

void HttpRequestParser::fail(int status, std::string_view message, std::string_view allow) {
  state_ = State::kFailed;
  error_ = {status, message, allow};
}

HttpRequestParser::State HttpRequestParser::on_bytes(Bytes bytes) {
  while (state_ == State::kReading && part_ != Part::kBody && !bytes.empty()) {
    on_head_byte(bytes[0]);
    bytes = bytes.subspan(1);
  }
  if (state_ != State::kReading || part_ != Part::kBody) return state_;
  const Bytes taken = bytes.first(std::min(bytes.size(), body_wanted_ - body_size_));
  if (!taken.empty()) std::memcpy(memory_.bytes().data() + body_size_, taken.data(), taken.size());
  body_size_ += taken.size();
  if (body_size_ == body_wanted_) state_ = State::kComplete;
  return state_;
}

void HttpRequestParser::on_head_byte(std::uint8_t byte) {
  if (++head_size_ > kHeadMax) return fail(431, "the request's head has more than 8192 bytes");
  const bool after_cr = line_size_ > 0 && memory_.bytes()[line_size_ - 1] == '\r';
  if (byte == '\n') {
    if (!after_cr) return fail(400, "a line does not end with CR LF");
    const std::size_t size = line_size_ - 1;
    line_size_ = 0;
    return on_line(as_text(memory_.bytes().first(size)));
  }
  if (after_cr || (byte < 0x20 && byte != '\r' && byte != '\t') || byte == 0x7f) {
    return fail(400, "the request's head has a control byte in it");
  }
  if (part_ == Part::kRequestLine && line_size_ >= kRequestLineMax) {
    return fail(414, "the request line has more than 1024 bytes");
  }
  memory_.bytes()[line_size_++] = byte;
}

void HttpRequestParser::on_line(std::string_view line) {
  if (part_ == Part::kRequestLine) return on_request_line(line);
  if (line.empty()) return on_head_end();
  on_header(line);
}

void HttpRequestParser::on_request_line(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return fail(400, "the request line is not METHOD PATH HTTP/1.1");
  }
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  const bool is_http = version.size() == 8 && version.substr(0, 5) == "HTTP/" && version[6] == '.' &&
                       version[5] >= '0' && version[5] <= '9' && version[7] >= '0' && version[7] <= '9';
  if (!is_token(method) || !is_http) return fail(400, "the request line is not METHOD PATH HTTP/1.1");
  if (version[5] != '1') return fail(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
  http_1_0_ = version[7] == '0';
  const bool plain = std::all_of(target.begin(), target.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (target.empty() || target[0] != '/' || !plain) return fail(400, "the path does not begin with / or has odd bytes");
  if (method == "GET") {
    method_ = Known::kGet;
  } else if (method == "POST") {
    method_ = Known::kPost;
  } else if (std::find(kOtherMethods.begin(), kOtherMethods.end(), method) != kOtherMethods.end()) {
    method_ = Known::kOther;
  } else {
    return fail(501, "there is no such method; the control socket knows GET and POST");
  }
  route_ = find_route(target);
  part_ = Part::kHeaders;
}

void HttpRequestParser::on_header(std::string_view line) {
  if (++headers_ > kHeadersMax) return fail(431, "the request has more than 32 header fields");
  // A line that begins with a blank would be a folded one; its name is no token.
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (colon == std::string_view::npos || !is_token(name)) return fail(400, "a header field is not NAME: VALUE");
  const std::string_view value = without_blanks(line.substr(colon + 1));
  if (same_name(name, "content-length")) return on_content_length(value);
  if (same_name(name, "transfer-encoding")) {
    return fail(501, "Transfer-Encoding is not understood here; send the body with Content-Length");
  }
  if (same_name(name, "expect")) return fail(417, "Expect is not understood here; send the body at once");
  if (same_name(name, "host")) ++hosts_;
}

void HttpRequestParser::on_content_length(std::string_view value) {
  // Two of them, even equal ones, are how requests are smuggled.
  if (has_length_) return fail(400, "Content-Length stands there twice");
  has_length_ = true;
  const bool digits = !value.empty() && value.find_first_not_of("0123456789") == std::string_view::npos;
  if (!digits) return fail(400, "Content-Length is no number");
  std::uint64_t length = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (error != std::errc{} || length > kBodyMax) return fail(413, "the body has more than 65536 bytes");
  static_cast<void>(end);
  body_wanted_ = static_cast<std::size_t>(length);
}

void HttpRequestParser::on_head_end() {
  if (hosts_ != 1 && !(http_1_0_ && hosts_ == 0)) return fail(400, "there is not exactly one Host");
  if (route_ == nullptr) return fail(404, "there is no such path");
  const bool fits = method_ != Known::kOther && (method_ == Known::kGet) == (route_->method == Method::kGet);
  if (!fits) return fail(405, "the path has another method, see Allow", to_text(route_->method));
  if (method_ == Known::kGet && body_wanted_ > 0) return fail(400, "a GET with a body");
  if (method_ == Known::kPost && !has_length_) return fail(411, "a POST needs Content-Length");
  part_ = Part::kBody;
}

std::string http_response(int status, std::string_view json, std::string_view allow) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason(status)) +
                    "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(json.size()) +
                    "\r\nCache-Control: no-store\r\nConnection: close\r\n";
  if (!allow.empty()) out += "Allow: " + std::string(allow) + "\r\n";
  out += "\r\n";
  out += json;
  return out;
}

std::string http_response(const HttpError& error) {
  return http_response(error.status, error_json(error.message), error.allow);
}

}  // namespace shoal::admin
