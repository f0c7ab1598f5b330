-- What an administrator would build instead of statweir: nginx's Lua module and a Redis
-- client. It is written to be quick, and to be right about ordinary messages: the text is
-- narrowed by a compiled loop, elements are found by plain search, connections to Redis
-- are kept, and one call to a Redis function does the whole record. What it leaves out
-- (other element names, comments, entities, odd orders of attributes, learning the
-- acknowledgement, summaries, outages of Redis) would only make it slower.
local ffi = require "ffi"
local bit = require "bit"
local zlib = require "zlib"
local redis = require "nginx.redis"

local find, sub, byte = string.find, string.sub, string.byte
local tonumber = tonumber

local M = {}
local room = 65536
local narrow_buf = ffi.new("char[?]", room)

-- Learned once, by hand.
local ACK_TYPE = 'multipart/mixed; boundary="aAbBcCdDv1234567890VxXyYzZ"'
local ACK_BODY = "--aAbBcCdDv1234567890VxXyYzZ\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n"
  .. "NoReply\r\n--aAbBcCdDv1234567890VxXyYzZ--"

-- UTF-16LE that is Latin-1 at heart; nil if not, or too long.
local function narrow(s, from, to)
  local p = ffi.cast("const uint8_t *", s)
  local n = to - from + 1
  if n % 2 ~= 0 or n > 2 * room then return nil end
  n = n / 2
  p = p + (from - 1)
  for i = 0, n - 1 do
    if p[2 * i + 1] ~= 0 then return nil end
    narrow_buf[i] = p[2 * i]
  end
  return ffi.string(narrow_buf, n)
end

-- The text of the first <name>...</name>.
local function element(xml, name)
  local _, e = find(xml, "<" .. name .. ">", 1, true)
  if not e then return nil end
  local s = find(xml, "<", e + 1, true)
  return s and sub(xml, e + 1, s - 1)
end

-- The text behind a start tag that is given with its attributes.
local function behind(xml, tag)
  local _, e = find(xml, tag, 1, true)
  if not e then return nil end
  local s = find(xml, "<", e + 1, true)
  return s and sub(xml, e + 1, s - 1)
end

-- First and last byte of the two parts' contents; nil unless there are exactly two.
function M.parts(body, boundary)
  local dash = "--" .. boundary
  if sub(body, 1, #dash) ~= dash then return nil end
  local h1 = find(body, "\r\n\r\n", #dash, true)
  if not h1 then return nil end
  local e1, n1 = find(body, "\r\n" .. dash .. "\r\n", h1 + 4, true)
  if not e1 then return nil end
  local h2 = find(body, "\r\n\r\n", n1, true)
  if not h2 then return nil end
  local e2 = find(body, "\r\n" .. dash, h2 + 4, true)
  if not e2 or sub(body, e2 + #dash + 2, e2 + #dash + 3) ~= "--" then return nil end
  return h1 + 4, e1 - 1, h2 + 4, e2 - 1
end

-- Message ID, client and rule of a 10907; nil for anything else.
local function search(body, boundary)
  local f1, l1, f2, l2 = M.parts(body, boundary)
  if not f1 or byte(body, f1) ~= 0xff or byte(body, f1 + 1) ~= 0xfe then return nil end
  local msg = narrow(body, f1 + 2, l1)
  if not msg or sub(msg, 1, 5) ~= "<Msg " or find(msg, "<!DOCTYPE", 1, true) or
      find(msg, "<Attachment", 1, true) then
    return nil
  end
  if element(msg, "TargetEndpoint") ~= "StatusReceiver" or element(msg, "ReplyMode") ~= "Async" then
    return nil
  end
  local id, client = element(msg, "ID"), element(msg, "SourceID")
  local at = find(msg, "<Body ", 1, true)
  if not id or not client or not at then return nil end
  local _, _, offset, length = find(msg, 'Offset="(%d+)" Length="(%d+)"', at)
  offset, length = tonumber(offset), tonumber(length)
  if not length then return nil end
  local payload = sub(body, f2, l2)
  if find(msg, '"zlib-compress"', 1, true) then
    local ok, text, eof = pcall(zlib.inflate(), payload)
    if not ok or not eof then return nil end
    payload = text
  end
  if offset + length > #payload then return nil end
  if sub(payload, offset + length - 1, offset + length) == "\0\0" then length = length - 2 end
  local status = narrow(payload, offset + 1, offset + length)
  if not status or sub(status, 1, 8) ~= "<Status " or find(status, "<!DOCTYPE", 1, true) then
    return nil
  end
  -- A second <Status> in the same message is for the management point to read.
  if find(status, "<Status ", 9, true) then return nil end
  local number = tonumber(behind(status, '<Qualifier Name="SMS_MessageID">'))
  if element(status, "Type") ~= "SWMtr_Status_Received_MeterRule" or not number or
      bit.band(number, 0xffff) ~= 10907 or find(status, '"Win32ErrorCode"', 1, true) then
    return nil
  end
  local rule = behind(status, '<Property Name="Attribute407">')
  return rule and id, client, rule
end

local function record(id, client, rule)
  local r = redis:new()
  r:set_timeout(3000)
  local ok = r:connect(M.socket)
  if not ok then return false end
  local answer = r:fcall("absorb", 1, client, id, rule, ngx.now() * 1000)
  if not answer or answer == ngx.null then return false end
  r:set_keepalive(60000, 8192)
  return true
end

-- recognise: another way than plain search.
function M.content(recognise)
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  local _, _, boundary = find(ngx.var.http_content_type or "",
    '^multipart/mixed;%s*boundary="?([^";]+)"?')
  if body and boundary and ngx.req.get_method() == "CCM_POST" and not ngx.var.http_authorization then
    local id, client, rule = (recognise or search)(body, boundary)
    if id and record(id, client, rule) then
      ngx.header.content_type = ACK_TYPE
      ngx.header.content_length = #ACK_BODY
      ngx.print(ACK_BODY)
      return
    end
  end
  return ngx.exec("@mp")
end

return M
