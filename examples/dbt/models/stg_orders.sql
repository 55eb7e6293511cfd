select order_id, date, customer_id, amount
from read_csv('source/orders.csv')
where date between date '{{ var("start", "1900-01-01") }}' and date '{{ var("end", "1900-01-01") }}'
