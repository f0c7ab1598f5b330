#!lua name=benchrollup
-- The record of one message: repetitions count once, rules are counted for each client,
-- and a client that has something to report is listed.
redis.register_function('absorb', function(keys, a)
  local call, c = redis.call, keys[1]
  if call('SADD', 'seen:' .. c, a[1]) == 0 then return 0 end
  call('HINCRBY', 'rules:' .. c, a[2], '1')
  call('ZADD', 'dirty', 'NX', a[3], c)
  call('INCR', 'absorbed')
  return 1
end)
