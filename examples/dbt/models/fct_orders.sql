select o.order_id, o.date, c.segment, o.amount
from {{ ref('stg_orders') }} as o
join read_csv('source/customers.csv') as c
    on c.customer_id = o.customer_id and o.date between c.valid_from and c.valid_to
where o.date between date '{{ var("start", "1900-01-01") }}' and date '{{ var("end", "1900-01-01") }}'
