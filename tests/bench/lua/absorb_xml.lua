-- The same contender for whom plain search is not enough: both documents go through expat
-- (Debian's LuaExpat), and what would be doubtful to statweir is left to the management
-- point: anything malformed, a document type, a hook nobody knows, an attachment, a second
-- <Status>, a type and a number that disagree, a severity, an error code.
local bit = require "bit"
local lxp = require "lxp"
local zlib = require "zlib"
local absorb = require "absorb"

local sub, byte, lower, find = string.sub, string.byte, string.lower, string.find
local tonumber = tonumber

local M = {}
local HOOKS = {
  ["Hook3/zlib-compress"] = true, ["Hook2/clientauth"] = true, ["Hook/authenticate"] = true,
}
local TYPE, NUMBER = "SWMtr_Status_Received_MeterRule", 10907

-- Give each element to on_element(depth, name, attributes, text, parent); false ends it.
local function parse(bytes, on_element)
  local depth, names, attributes, text = 0, {}, {}, {}
  local is_good = true
  local p = lxp.new({
    StartElement = function(_, name, attrs)
      depth = depth + 1
      names[depth], attributes[depth], text[depth] = name, attrs, ""
      if depth > 16 then is_good = false end
    end,
    CharacterData = function(_, s) text[depth] = text[depth] .. s end,
    EndElement = function(_, name)
      if not on_element(depth, name, attributes[depth], text[depth], names[depth - 1]) then
        is_good = false
      end
      depth = depth - 1
    end,
    StartDoctypeDecl = function() is_good = false end,
    ProcessingInstruction = function() is_good = false end,
  })
  is_good = p:parse(bytes) and p:parse() and is_good
  p:close()
  return is_good
end

-- What an envelope says, or nil.
local function read_envelope(bytes)
  local e = {}
  local is_good = parse(bytes, function(depth, name, attrs, text, parent)
    if depth == 1 then return name == "Msg" end
    if name == "Attachment" then return false end
    if depth == 2 and (name == "Body" or name == "Payload") then
      if e[name] then return false end
      e[name] = attrs
    elseif depth == 2 then
      if e[name] then return false end
      e[name] = text
    elseif depth == 3 and parent == "Hooks" then
      local hook = name .. "/" .. (attrs.Name or "")
      e.is_packed = e.is_packed or hook == "Hook3/zlib-compress"
      return HOOKS[hook]
    end
    return true
  end)
  if not is_good or not e.ID or not e.SourceID or not e.Body or not e.Payload or
      lower(e.TargetEndpoint or "") ~= "statusreceiver" or lower(e.ReplyMode or "") ~= "async" or
      (e.Payload.Type and e.Payload.Type ~= "inline") then
    return nil
  end
  return e
end

-- The rule of a 10907, or nil.
local function read_status(bytes)
  local values = {}
  local is_good = parse(bytes, function(depth, name, attrs, text)
    if depth == 1 then return name == "Status" end
    if name == "Status" then return false end
    local key = name == "Type" and depth == 2 and "Type" or attrs.Name
    if key then
      if values[key] and values[key] ~= text then return false end
      values[key] = text
    end
    return true
  end)
  local number = tonumber(values.SMS_MessageID or values.MessageID)
  if not is_good or values.Type ~= TYPE or not number or bit.band(number, 0xffff) ~= NUMBER or
      bit.band(number, 0xc0000000) ~= 0x40000000 or
      (tonumber(values.Win32ErrorCode or "0") ~= 0) then
    return nil
  end
  return values.Attribute407
end

-- Message ID, client and rule of a 10907; nil for anything else.
function M.recognise(body, boundary)
  local f1, l1, f2, l2 = absorb.parts(body, boundary)
  if not f1 or byte(body, f1) ~= 0xff or byte(body, f1 + 1) ~= 0xfe then return nil end
  local e = read_envelope(sub(body, f1, l1))
  if not e then return nil end
  local payload = sub(body, f2, l2)
  if e.is_packed then
    local ok, text, eof = pcall(zlib.inflate(), payload)
    if not ok or not eof then return nil end
    payload = text
  end
  local offset, length = tonumber(e.Body.Offset), tonumber(e.Body.Length)
  if not offset or not length or offset + length > #payload then return nil end
  payload = sub(payload, offset + 1, offset + length)
  while sub(payload, -2) == "\0\0" do payload = sub(payload, 1, -3) end
  if not find(e.ID, "^{[%x-]+}$") then return nil end
  local rule = read_status(payload)
  return rule and e.ID, e.SourceID, rule
end

return M
