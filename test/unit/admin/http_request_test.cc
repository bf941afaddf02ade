#include "admin/http_request.h"

#include <doctest/doctest.h>

#include "base/rng.h"

using namespace shoal;
using namespace shoal::admin;

namespace {

using State = HttpRequestParser::State;

const std::string kHost = "Host: shoal\r\n";

std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\n" + kHost + "\r\n"; }
std::string post(const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\n" + kHost + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

/// 0 for a good request, -1 for one that is not whole yet, else the status of the refusal.
int status_of(const HttpRequestParser& parser) {
  switch (parser.state()) {
    case State::kReading: return -1;
    case State::kComplete: return 0;
    case State::kFailed: return parser.error().status;
  }
  return -2;
}
int judge(const std::string& text) {
  HttpRequestParser parser;
  parser.on_bytes(as_bytes(text));
  return status_of(parser);
}
int judge_header(const std::string& line) { return judge("GET /v1/status HTTP/1.1\r\n" + kHost + line + "\r\n\r\n"); }

}  // namespace

TEST_CASE("each route is found by its method and path") {
  for (const Route& route : routes()) {
    CAPTURE(route.path);
    const std::string path(route.path);
    HttpRequestParser parser;
    CHECK(parser.on_bytes(as_bytes(route.method == Method::kGet ? get(path) : post(path, "{}"))) == State::kComplete);
    CHECK(parser.route().operation == route.operation);
    CHECK(&route_of(route.operation) == &route);
    CHECK(parser.body() == (route.method == Method::kGet ? "" : "{}"));
  }
}

TEST_CASE("a request may come in pieces of any size, and what follows it is ignored") {
  const std::string text = post("/v1/event", R"({"name":"deploy"})") + "GET /v1/status HTTP/1.1\r\n";
  const std::size_t whole = text.find('}') + 1;
  for (std::size_t step = 1; step < 40; ++step) {
    HttpRequestParser parser;
    for (std::size_t at = 0; at < text.size(); at += step) {
      const State state = parser.on_bytes(as_bytes(std::string_view(text).substr(at, step)));
      CHECK((state == State::kComplete) == (at + step >= whole));
    }
    CHECK(parser.body() == R"({"name":"deploy"})");
    parser.reset();
    CHECK(parser.on_bytes(as_bytes(get("/v1/status"))) == State::kComplete);
    CHECK(parser.body().empty());
  }
}

TEST_CASE("a wrong path is 404, a wrong method 405 with the right one, an unknown method 501") {
  CHECK(judge(get("/v1/nothing")) == 404);
  CHECK(judge(get("/v1/status?x=1")) == 404);
  CHECK(judge(get("/v1/status/")) == 404);
  CHECK(judge(post("/v1/members", "{}")) == 405);
  CHECK(judge("DELETE /v1/event HTTP/1.1\r\n" + kHost + "\r\n") == 405);
  CHECK(judge("BREW /v1/event HTTP/1.1\r\n" + kHost + "\r\n") == 501);
  CHECK(judge("get /v1/status HTTP/1.1\r\n" + kHost + "\r\n") == 501);
  HttpRequestParser parser;
  parser.on_bytes(as_bytes(get("/v1/event")));
  CHECK(status_of(parser) == 405);
  CHECK(parser.error().allow == "POST");
  CHECK(http_response(parser.error()).find("\r\nAllow: POST\r\n") != std::string::npos);
}

TEST_CASE("a request line that is none is 400, another version 505") {
  for (const char* line :
       {"GET", "GET /v1/status", "GET  /v1/status HTTP/1.1", "GET /v1/status  HTTP/1.1", " GET / HTTP/1.1",
        "GET v1/status HTTP/1.1", "GET * HTTP/1.1", "GET http://x/v1/status HTTP/1.1", "GET /a b HTTP/1.1",
        "GET /\x80 HTTP/1.1", "G\tT / HTTP/1.1", "GET / http/1.1", "GET / HTTP/11", "GET / HTTP/1.10", ""}) {
    CAPTURE(line);
    CHECK(judge(line + ("\r\n" + kHost) + "\r\n") == 400);
  }
  CHECK(judge("GET /v1/status HTTP/2.0\r\n" + kHost + "\r\n") == 505);
  CHECK(judge("GET /v1/status HTTP/1.0\r\n\r\n") == 0);
}

TEST_CASE("lines end with CR LF and hold no control byte") {
  CHECK(judge("GET /v1/status HTTP/1.1\nHost: x\n\n") == 400);
  CHECK(judge("GET /v1/status HTTP/1.1\rHost: x") == 400);
  CHECK(judge_header("X: a\rb") == 400);
  CHECK(judge_header(std::string("X: a\0b", 6)) == 400);
  CHECK(judge_header("X: a\x1b") == 400);
  CHECK(judge_header("X:\ta\x80") == 0);
  CHECK(judge("\x16\x03\x01") == 400);  // TLS.
}

TEST_CASE("a header field is NAME: VALUE, none is folded, and there is one Host") {
  for (const char* line : {"X", ": a", " X: a", "X : a", "X\t: a", "(X): a", "X: a\r\n folded"}) {
    CAPTURE(line);
    CHECK(judge_header(line) == 400);
  }
  CHECK(judge_header("X:") == 0);
  CHECK(judge_header("Host: again") == 400);
  CHECK(judge("GET /v1/status HTTP/1.1\r\n\r\n") == 400);
}

TEST_CASE("a body comes with one plain Content-Length, or not at all") {
  const auto with = [](const std::string& header) {
    return judge("POST /v1/event HTTP/1.1\r\n" + kHost + header + "\r\n\r\n");
  };
  CHECK(judge("POST /v1/event HTTP/1.1\r\n" + kHost + "\r\n") == 411);
  CHECK(with("Content-Length: 0") == 0);
  CHECK(with("content-LENGTH:2 ") == -1);
  for (const char* bad : {"", "-1", "+1", "1 2", "0x1", "1,1", "1\t1", "a"})
    CHECK(with(std::string("Content-Length: ") + bad) == 400);
  CHECK(with("Content-Length: 2\r\nContent-Length: 2") == 400);
  CHECK(with("Transfer-Encoding: chunked") == 501);
  CHECK(with("Content-Length: 1\r\nTransfer-Encoding: identity") == 501);
  CHECK(with("Expect: 100-continue\r\nContent-Length: 1") == 417);
  CHECK(judge_header("Content-Length: 3") == 400);
  CHECK(judge_header("Content-Length: 0") == 0);
}

TEST_CASE("every size has a limit that is reached and not passed") {
  const auto line = [](std::size_t size) { return get("/" + std::string(size - 14, 'a')); };  // "GET /", " HTTP/1.1"
  CHECK(judge(line(HttpRequestParser::kRequestLineMax - 1)) == 404);
  CHECK(judge(line(HttpRequestParser::kRequestLineMax + 1)) == 414);
  CHECK(judge(std::string(2000, 'A')) == 414);

  const auto headers = [](std::size_t count) {
    std::string text = "GET /v1/status HTTP/1.1\r\n" + kHost;
    for (std::size_t i = 1; i < count; ++i) text += "X: y\r\n";
    return judge(text + "\r\n");
  };
  CHECK(headers(HttpRequestParser::kHeadersMax) == 0);
  CHECK(headers(HttpRequestParser::kHeadersMax + 1) == 431);

  const auto head = [](std::size_t size) {
    const std::string start = "GET /v1/status HTTP/1.1\r\n" + kHost + "X: ";
    return judge(start + std::string(size - start.size() - 4, 'a') + "\r\n\r\n");
  };
  CHECK(head(HttpRequestParser::kHeadMax) == 0);
  CHECK(head(HttpRequestParser::kHeadMax + 1) == 431);

  const std::string most(HttpRequestParser::kBodyMax, 'b');
  HttpRequestParser parser;
  CHECK(parser.on_bytes(as_bytes(post("/v1/event", most))) == State::kComplete);
  CHECK(parser.body() == most);
  CHECK(judge("POST /v1/event HTTP/1.1\r\n" + kHost + "Content-Length: 65537\r\n\r\n") == 413);
  CHECK(judge("POST /v1/event HTTP/1.1\r\n" + kHost + "Content-Length: 99999999999999999999999\r\n\r\n") == 413);
}

TEST_CASE("an answer says its length and that it is the last") {
  const std::string text = http_response(200, "{}");
  CHECK(text.find("HTTP/1.1 200 OK\r\n") == 0);
  CHECK(text.find("\r\nContent-Length: 2\r\n") != std::string::npos);
  CHECK(text.find("\r\nConnection: close\r\n") != std::string::npos);
  CHECK(text.substr(text.size() - 6) == "\r\n\r\n{}");
}

TEST_CASE("a damaged request is judged the same whatever the pieces") {
  Rng rng(0x4774);
  const std::string good = post("/v1/keys/install", R"({"key":"AAECAwQFBgcICQoLDA0ODw=="})");
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string text = good;
    for (std::uint64_t edits = 1 + rng.below(std::uint64_t{4}); edits > 0; --edits) {
      const std::size_t at = rng.below(std::uint64_t{text.size()});
      if (rng.below(std::uint64_t{2}) == 0) {
        text[at] = static_cast<char>(rng.below(std::uint64_t{256}));
      } else {
        text.erase(at, 1 + rng.below(std::uint64_t{3}));
      }
    }
    HttpRequestParser pieces;
    for (const char c : text) pieces.on_bytes(as_bytes(std::string_view(&c, 1)));
    CHECK(judge(text) == status_of(pieces));
    if (pieces.state() == State::kFailed) ++refused;
  }
  CHECK(refused > 500);
}
