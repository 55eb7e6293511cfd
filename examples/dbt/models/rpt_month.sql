select last_day(date) as date, segment, count(*) as orders, sum(amount) as revenue
from {{ ref('fct_orders') }}
where last_day(date) between date '{{ var("start", "1900-01-01") }}' and date '{{ var("end", "1900-01-01") }}'
group by all
